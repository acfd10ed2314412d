"""The real way from a microphone: PulseAudio plays a recording, PortAudio hears it as ALSA's default device."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.config import RATE_HZ
from tests.sound_server import SoundServer, missing

ROOT = Path(__file__).parents[1]
CAPTURE = """
import sys, time
import numpy as np
import soundfile
from asr.audio import mono
from asr.client.microphone import Microphone
from asr.resample import Resampler
microphone = Microphone()
microphone.queue.wait()
print("listening", flush=True)
resampler, heard, seconds = Resampler(microphone.rate_hz), [], float(sys.argv[2])
ends = time.monotonic() + seconds
while time.monotonic() < ends:
    heard += [resampler.feed(mono(block.samples)) for block in microphone.queue.take(0.1)]
microphone.close()
soundfile.write(sys.argv[1], np.concatenate([*heard, resampler.flush()]), 16000)
print(microphone.queue.dropped, microphone.overflows)
"""


@pytest.fixture
def server():
    """A sound server of this test's own."""
    if missing():
        pytest.skip(f"needs a sound server: apt install {missing()}")
    with SoundServer() as running:
        yield running


def test_the_microphone_hears_what_is_played(server, recordings, tmp_path):
    """What arrives, resampled from the device's own rate and channels, is the recording that was played, sample by sample."""
    played, rate_hz = soundfile.read(recordings / "sample.flac", dtype="float32")
    assert rate_hz == RATE_HZ
    played = played[:4 * RATE_HZ]
    soundfile.write(tmp_path / "played.wav", played, RATE_HZ)
    program = subprocess.Popen([sys.executable, "-c", CAPTURE, tmp_path / "heard.wav", "6"], env=server.environment, cwd=ROOT,
                               stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "listening\n"
    server.play(tmp_path / "played.wav")
    out, _err = program.communicate(timeout=20)
    assert out.split() == ["0", "0"]
    heard, _rate = soundfile.read(tmp_path / "heard.wav", dtype="float32")
    match = np.fft.irfft(np.fft.rfft(heard, 1 << 18) * np.conj(np.fft.rfft(played, 1 << 18)))
    start = int(match.argmax())
    heard = heard[start:start + len(played)]
    assert np.dot(heard, played) / np.linalg.norm(heard) / np.linalg.norm(played) > 0.98
    assert np.linalg.norm(heard) == pytest.approx(np.linalg.norm(played), rel=0.1)
