"""A microphone made of software: a private PulseAudio whose loudspeaker is heard by its microphone, on a machine without sound.

ALSA's default device is led to it by a configuration of its own, so PortAudio, which knows only ALSA, finds a microphone.
Needs the Debian packages pulseaudio, pulseaudio-utils, libasound2-plugins and libportaudio2.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ALSA = """</usr/share/alsa/alsa.conf>
pcm.!default {{ type pulse server "{server}" }}
ctl.!default {{ type pulse server "{server}" }}
"""
ALSA_SOURCE = """pcm.{name} {{ type pulse server "{server}" device "{source}" }}
"""
PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"


class SoundServer:
    """PulseAudio in a folder of its own; `environment` is what a program needs to hear it. Use it in `with`.

    `devices`: further input devices by name, each a source of this server (None) or of another one.
    """

    def __init__(self, devices: "Mapping[str, tuple[SoundServer | None, str]] | None" = None):
        self._folder = Path(tempfile.mkdtemp(prefix="sound"))                  # short: a socket's path has 107 characters at most
        self._server = f"unix:{self._folder / 'socket'}"
        more = "".join(ALSA_SOURCE.format(name=name, server=(server or self)._server, source=source)
                       for name, (server, source) in (devices or {}).items())
        (self._folder / "asound.conf").write_text(ALSA.format(server=self._server) + more, encoding="utf-8")
        self.environment = {**os.environ, "HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder), "PULSE_SERVER": self._server,
                            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf")}
        self._log = open(self._folder / "log", "wb")                           # noqa: SIM115 (closed by __exit__)
        self._daemon = self._start()

    def _start(self) -> subprocess.Popen:
        (self._folder / "socket").unlink(missing_ok=True)
        return subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-target=stderr",
             f"--load=module-native-protocol-unix socket={self._folder / 'socket'} auth-anonymous=1",
             "--load=module-null-sink sink_name=speaker rate=48000 channels=2",
             "--load=module-remap-source master=speaker.monitor source_name=microphone"],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def __enter__(self) -> "SoundServer":
        """Wait until it answers."""
        for _ in range(100):
            if self._daemon.poll() is not None:
                break
            if subprocess.run(["pactl", "info"], env=self.environment, capture_output=True, check=False).returncode == 0:
                return self
            time.sleep(0.1)
        log = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
        self.__exit__()
        raise RuntimeError(f"PulseAudio did not start: {log}")

    def __exit__(self, *_exc):
        self.kill()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def play(self, path: Path, check: bool = True):
        """Play a recording to its end, as loud as it is; without `check` it does not matter if the server dies under it."""
        subprocess.run(["paplay", "--device=speaker", "--volume=65536", str(path)], env=self.environment, check=check, capture_output=True)

    def restart(self):
        """Start it again after `kill`, as if the microphone were plugged in."""
        self._daemon = self._start()
        self.__enter__()

    def kill(self):
        """End it at once, as if the microphone were pulled out."""
        self._daemon.send_signal(signal.SIGKILL)
        self._daemon.wait()


def missing() -> str:
    """What has to be installed for this, or nothing."""
    libraries = [path for folder in ("/usr/lib", "/usr/lib64") for path in Path(folder).glob(f"*/{PLUGIN}")]
    needs = {"pulseaudio": shutil.which("pulseaudio"), "pulseaudio-utils": shutil.which("paplay"), "libasound2-plugins": libraries}
    return " ".join(package for package, found in needs.items() if not found)
