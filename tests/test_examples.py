"""export/examples: what a device needs is told completely, since it works without the package and gives what the package gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.bundle import load_bundle
from asr.client.acoustic import Acoustic, AcousticStream
from asr.config import LATENCIES, RATE_HZ
from asr.decoding.greedy import Speller

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "export" / "examples" / "stream.py"


@pytest.fixture
def speech(tmp_path):
    """A recording as a WAV file."""
    samples = read_samples(ROOT / "recordings" / "sample.flac")
    soundfile.write(tmp_path / "speech.wav", samples, RATE_HZ, subtype="PCM_16")
    return tmp_path / "speech.wav"


def read_samples(path) -> np.ndarray:
    """(n,) float32."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == RATE_HZ
    return samples


def run(*arguments, stdin=None) -> subprocess.CompletedProcess:
    """The example in a fresh interpreter that does not see this project."""
    return subprocess.run([sys.executable, "-I", str(EXAMPLE), *map(str, arguments)], input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize(("chunk_ms", "precision"), [(320, "int8"), (1280, "float"), (160, "int8")])
def test_the_example_gives_what_the_package_gives(speech, chunk_ms, precision):
    """The same best path, from a file and from a pipe, at any latency and precision."""
    bundle = load_bundle()
    stream, speller = AcousticStream(Acoustic(bundle, precision), LATENCIES[chunk_ms]), Speller(bundle.pieces)
    for emission in [*stream.feed(read_samples(speech)), stream.flush()]:
        speller.step(emission.pieces)
    expected = " ".join(word.text for word in speller.words)
    assert len(expected.split()) > 5
    options = ["--chunk", chunk_ms, *(["--float"] if precision == "float" else [])]
    done = run(bundle.folder, speech, *options)
    assert done.stdout.decode().strip() == expected, done.stderr
    raw = (np.clip(read_samples(speech) * 32768, -32768, 32767)).astype("<i2").tobytes()
    assert run(bundle.folder, "-", *options, stdin=raw).stdout.decode().strip() == expected


def test_what_it_cannot_read_is_one_line(tmp_path):
    """No such file, another rate, no bundle."""
    soundfile.write(tmp_path / "fast.wav", np.zeros(100, np.float32), 44_100, subtype="PCM_16")
    (tmp_path / "text.wav").write_text("hello")
    bundle = load_bundle().folder
    for arguments, told in (([bundle, tmp_path / "none.wav"], "No such file"), ([bundle, tmp_path / "fast.wav"], "not 16 kHz"),
                            ([bundle, tmp_path / "text.wav"], "ends before its sound"), ([tmp_path, tmp_path / "fast.wav"], "bundle.json")):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1
        assert told in done.stderr.decode()
