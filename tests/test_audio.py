"""Reading audio: every format gives the samples that were written, and every kind of bad file gives one clear line."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from asr.audio import as_samples, open_audio
from asr.errors import AudioError

RATE_HZ = 16_000
OPUS = {"format": "OGG", "subtype": "OPUS"}


def tone(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """440 Hz, (n,) float32."""
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def read(path) -> tuple[np.ndarray, int, float | None]:
    """All samples, the rate and the duration that the file claims."""
    with open_audio(path) as audio:
        blocks = list(audio)
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), audio.rate_hz, audio.duration_s


def what_is_read(path) -> tuple[float, str]:
    """Seconds read before the error, and the error's text."""
    seconds = 0.0
    try:
        with open_audio(path) as audio:
            for block in audio:
                seconds += len(block) / audio.rate_hz
    except AudioError as error:
        return seconds, str(error)
    pytest.fail(f"{path} was read without an error")


@pytest.mark.parametrize(("name", "kind", "tolerance"), [
    ("a.wav", {}, 1e-4), ("a.flac", {}, 1e-4), ("a.mp3", {}, 0.03), ("a.ogg", {}, 0.1), ("a.opus", OPUS, 0.1)])
def test_formats(tmp_path, name, kind, tolerance):
    """Each format that libsndfile knows comes back at its own rate, whole and in blocks of a second."""
    written = tone(3.5)
    soundfile.write(tmp_path / name, written, RATE_HZ, **kind)
    samples, rate_hz, duration_s = read(tmp_path / name)
    assert rate_hz == RATE_HZ
    assert len(samples) == pytest.approx(len(written), abs=0.05 * RATE_HZ)
    assert duration_s == pytest.approx(3.5, abs=0.05)
    for start in range(2000, 3 * RATE_HZ, 1000):                   # each stretch: a seek between the blocks of an MP3 mutes a part
        part = slice(start, start + 1000)
        assert np.sqrt(np.mean((samples[part] - written[part]) ** 2)) < tolerance


def test_through_ffmpeg(tmp_path):
    """An m4a file comes through ffmpeg with its rate, its duration and its tone."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    soundfile.write(tmp_path / "a.wav", np.stack([tone(3, 44_100)] * 2, axis=1), 44_100)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "aac", tmp_path / "a.m4a"], check=True)
    samples, rate_hz, duration_s = read(tmp_path / "a.m4a")
    assert rate_hz == 44_100
    assert duration_s == pytest.approx(3, abs=0.05)
    assert len(samples) == pytest.approx(3 * 44_100, abs=3000)
    spectrum = np.abs(np.fft.rfft(samples[44_100:88_200]))
    assert np.argmax(spectrum) == 440
    assert np.abs(samples[44_100:88_200]).max() == pytest.approx(0.3, abs=0.05)


def test_without_ffmpeg(tmp_path, monkeypatch):
    """Where ffmpeg would be needed and is missing, the message says how to install it."""
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(1000))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install ffmpeg: " in what_is_read(tmp_path / "a.m4a")[1]


def test_many_channels_at_192_khz(tmp_path):
    """Eight channels at 192 kHz are averaged to one at the same rate."""
    levels = np.arange(8, dtype=np.float32) / 16
    soundfile.write(tmp_path / "a.wav", np.tile(levels, (192_000, 1)), 192_000, subtype="FLOAT")
    samples, rate_hz, _duration_s = read(tmp_path / "a.wav")
    assert rate_hz == 192_000
    assert len(samples) == 192_000
    np.testing.assert_allclose(samples, levels.mean(), atol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_samples(tmp_path, count):
    """A sound file of no sample or of one is read as such, without an error."""
    soundfile.write(tmp_path / "a.wav", tone(1)[:count], RATE_HZ)
    assert len(read(tmp_path / "a.wav")[0]) == count


def test_not_audio(tmp_path):
    """A missing file, a folder, an empty file, text and a picture each give one line that names the file and the matter."""
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("not audio\n" * 500)
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0" + np.random.default_rng(0).bytes(5000))
    (tmp_path / "headerless.raw").write_bytes(bytes(1000))
    for name, matter in [("absent.wav", "no such file"), (".", "is a folder"), ("empty.wav", "is empty"), ("text.wav", "no audio"),
                         ("picture.jpg", "no audio"), ("headerless.raw", "no audio")]:
        seconds, text = what_is_read(tmp_path / name)
        assert seconds == 0
        assert text.startswith(str(tmp_path / name))
        assert matter in text
        assert "\n" not in text


@pytest.mark.parametrize(("name", "kind"), [
    ("a.wav", {}), ("a.aiff", {}), ("a.flac", {}), ("a.mp3", {}), ("a.ogg", {}), ("a.opus", OPUS)])
def test_truncated(tmp_path, name, kind):
    """Half a file gives its samples, then the error that it is cut short."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(10 * RATE_HZ)
    soundfile.write(tmp_path / name, noise, RATE_HZ, **kind)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:len(whole) // 2])
    seconds, text = what_is_read(tmp_path / name)
    assert "cut short" in text
    assert 3.5 < seconds < 6


def test_wav_written_to_a_pipe(tmp_path):
    """A WAV whose header does not know its length, as programs write to a pipe, is no truncated one."""
    soundfile.write(tmp_path / "a.wav", tone(2), RATE_HZ)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read(tmp_path / "a.wav")[0]) == 2 * RATE_HZ


def test_samples_that_are_not_numbers(tmp_path):
    """A NaN in the third second is named with its place, after the two seconds before it."""
    samples = tone(4)
    samples[40_000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    seconds, text = what_is_read(tmp_path / "a.wav")
    assert seconds == 2
    assert "sample 40000 (2.50 s) is not a number" in text


def test_samples_from_a_caller():
    """int16 is scaled, channels are averaged; other types, shapes and NaN are refused with what was found."""
    np.testing.assert_allclose(as_samples(np.array([16384, -32768], np.int16)), [0.5, -1])
    np.testing.assert_allclose(as_samples(np.array([[0.5, 0], [0, -1.0]])), [0.25, -0.5])
    assert as_samples([]).shape == (0,)
    for bad in (np.zeros((2, 16_000), np.float32), np.zeros((1, 2, 3)), np.array([1, 2]), np.array(["a"]), np.array([0, np.nan])):
        with pytest.raises(AudioError, match=r"^samples: "):
            as_samples(bad)
