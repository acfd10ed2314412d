"""The microphone, through sounddevice (PortAudio): the one module that imports it.

A device is opened at its own rate and channels, for many refuse any other. The callback runs on a real-time thread and only
counts and copies into the queue; an exception in it would end the stream in silence. A device that is unplugged often shows only in
that no callback comes any more, so two seconds without one count as gone; `reopen` then takes it up again once it is back. Time in
which this program itself did not run (Ctrl-Z, a machine that sleeps or is overrun) says nothing about the device: what it recorded
meanwhile is still to come.
"""

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from asr.client.arrears import AWAY_S, Arrears
from asr.client.capture import CaptureQueue
from asr.errors import DeviceError, MissingExtraError

SILENT_S = 2.0
MAX_CHANNELS = 8                     # sound servers offer 32 and more on one microphone; those get two
INSTALL_PORTAUDIO = {"linux": "sudo apt install libportaudio2", "darwin": "brew install portaudio"}.get(sys.platform, "see portaudio.com")


@dataclass(frozen=True)
class Device:
    """An input device as PortAudio lists it."""

    index: int
    name: str
    channels: int
    rate_hz: float
    default: bool

    def __str__(self):
        mark = "*" if self.default else " "
        return f"{mark} {self.index:3d}  {self.name} ({self.channels} channel{'s' * (self.channels != 1)}, {self.rate_hz:g} Hz)"


def _sounddevice():
    try:
        import sounddevice
    except ImportError:
        raise MissingExtraError("sounddevice", "live") from None
    except OSError:
        raise DeviceError(f"PortAudio's library is not installed; install it with: {INSTALL_PORTAUDIO}") from None
    return sounddevice


def input_devices() -> list[Device]:
    """All devices that record, at least one. Raises DeviceError without one or without PortAudio, MissingExtraError without sounddevice."""
    sounddevice = _sounddevice()
    default = sounddevice.default.device[0]
    devices = [Device(row["index"], row["name"], row["max_input_channels"], row["default_samplerate"], row["index"] == default)
               for row in sounddevice.query_devices() if row["max_input_channels"] > 0]
    if not devices:
        raise DeviceError("no microphone found; plug one in, or caption a file with: asr live --input FILE")
    return devices


def look_again():
    """Look for devices anew: PortAudio does so when it starts, never again. All open streams end with that; close them before."""
    sounddevice = _sounddevice()
    sounddevice._terminate()
    sounddevice._initialize()


def find_device(wanted: str | None) -> Device:
    """The device of that number, of that name, or of a name with that in it; None = the system's default.

    Raises DeviceError when there is none, or when several match, and as input_devices does.
    """
    devices = input_devices()
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    matches = ([device for device in devices if str(device.index) == wanted]
               or [device for device in devices if device.name == wanted]
               or [device for device in devices if wanted.lower() in device.name.lower()])
    if len(matches) == 1:
        return matches[0]
    listed = "; ".join(f"{device.index} {device.name}" for device in matches or devices)
    raise DeviceError(f"{'several devices match' if matches else 'no device matches'} {wanted!r}; choose by number: {listed}")


class Microphone:
    """An open device that records into `queue` from the start; close() ends it."""

    tail_s = 0.3                     # what is still on its way through the system when the user stops
    may_return = True                # after a problem

    def __init__(self, wanted: str | None = None):
        self.overflows = 0           # times the system lost audio before the callback saw it
        self.ended = False           # a microphone has no end of its own
        self._wanted = wanted
        self._begin(find_device(wanted))
        self.started = datetime.now(UTC)

    def reopen(self) -> bool:
        """After a problem: try once to open the device, or the system's default one, anew, at what rate it now has, with a new queue.

        False while there is none.
        """
        self.close()
        look_again()
        try:
            self._begin(find_device(self._wanted))
        except DeviceError:
            return False
        return True

    def _begin(self, device: Device):
        self.name = device.name
        self.rate_hz = device.rate_hz
        self.queue = CaptureQueue(device.rate_hz)
        self._arrears = Arrears(device.rate_hz)
        self._asked_s = self._here_since_s = time.monotonic()
        self._stream = self._open(device)
        self.stopped = False         # whether the system has ended the stream; last, for an earlier one's end may be told meanwhile

    def _open(self, device: Device):
        sounddevice = _sounddevice()
        own = device.channels if device.channels <= MAX_CHANNELS else 2
        for channels in dict.fromkeys((own, min(own, 2), 1)):
            try:
                stream = sounddevice.InputStream(
                    samplerate=device.rate_hz, blocksize=0, device=device.index, channels=channels, dtype="float32", latency="high",
                    callback=self._callback, finished_callback=self._finished)
                stream.start()
                return stream
            except sounddevice.PortAudioError as error:
                reason = str(error).split(" [")[0].removeprefix("Error opening InputStream: ")
        raise DeviceError(f"{device.name}: cannot be opened at {device.rate_hz:g} Hz ({reason}); "
                          "close other programs that use it, or choose another: asr live --list-devices")

    def _callback(self, samples, _frames, _time, status):
        if status.input_overflow:
            self.overflows += 1
        self.queue.lose(self._arrears.after(time.monotonic(), len(samples)))
        self.queue.put(samples)

    def _finished(self):
        self.stopped = True

    @property
    def problem(self) -> DeviceError | None:
        """What is wrong with the device now, if anything."""
        now_s = time.monotonic()
        if now_s - self._asked_s > AWAY_S:                   # the worker asks at every step and while it waits: it was stopped
            self._here_since_s = now_s
        self._asked_s = now_s
        if self.stopped or now_s - max(self.queue.last_put_s, self._here_since_s) > SILENT_S:
            return DeviceError(f"{self.name}: the microphone has stopped delivering sound")
        return None

    def close(self):
        """End the recording; what is in the queue stays there."""
        stream, self._stream = self._stream, None            # closing twice would reach into freed memory
        if stream:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)
