"""Audio is decoded once, kept, and read back exactly; what cannot be decoded is named and left out."""

import logging
import os

import numpy as np
import pytest

from asr.errors import DataError
from asr.training import audio_store
from asr.training.audio_store import decode, open_store
from asr.training.manifests import read_set
from tests.small_sets import HEADER, encoded, voice, write_set


@pytest.fixture
def small_set(tmp_path):
    """Three utterances."""
    return write_set(tmp_path, "small", [1.0, 0.5, 2.0])


def replace_audio(small_set, number: int, content: bytes) -> None:
    """Puts other bytes in the place of an utterance, in a folder instead of the tar."""
    folder = small_set.parent / "folder"
    folder.mkdir(exist_ok=True)
    for other in range(3):
        (folder / f"small-{other}.flac").write_bytes(encoded(voice(1.0, seed=other)))
    (folder / f"small-{number}.flac").write_bytes(content)
    (folder / "small.tsv").write_text(HEADER + "".join(f"small-{other}\t\t1.00\tmade\thuman\t\ttext\n" for other in range(3)))


def test_decoded_audio_is_the_audio_in_the_tar(small_set, tmp_path):
    """Two sets in one store: each utterance has its own samples and set."""
    other = write_set(tmp_path, "other", [0.3])
    store = open_store({"small": read_set(small_set), "other": read_set(other)}, tmp_path / "cache", progress=False)
    assert (len(store), store.names, store.set_of.tolist()) == (4, ["small", "other"], [0, 0, 0, 1])
    assert store.seconds == pytest.approx(3.8)
    for index, (seconds, seed) in enumerate(((1.0, 0), (0.5, 1), (2.0, 2), (0.3, 0))):
        samples = store.samples(index)
        assert samples.dtype == np.int16
        assert len(samples) == store.lengths[index]
        np.testing.assert_allclose(samples / 32768, voice(seconds, seed=seed), atol=1e-4)


def test_what_is_decoded_is_not_decoded_again(small_set, tmp_path, monkeypatch):
    """The second store comes from the cache, also with another text, also of a copy; a changed shard is decoded anew."""
    open_store({"small": read_set(small_set)}, tmp_path / "cache", progress=False)
    count = []
    monkeypatch.setattr(audio_store, "decode", lambda encoded: count.append(1) or decode(encoded))
    manifest = small_set.with_suffix(".tsv")
    manifest.write_text(manifest.read_text().replace("text 1", "a better text"))
    store = open_store({"small": read_set(small_set)}, tmp_path / "cache", progress=False)
    assert count == []
    assert store.utterances[1].text == "a better text"
    os.utime(small_set.with_suffix(".tar"), (1e9, 1e9))
    open_store({"small": read_set(small_set)}, tmp_path / "cache", progress=False)
    assert count == []
    last = read_set(small_set)[-1].location
    with small_set.with_suffix(".tar").open("r+b") as shard:
        shard.seek(last.offset + last.size - 1)
        byte = shard.read(1)[0]
        shard.seek(-1, os.SEEK_CUR)
        shard.write(bytes([byte ^ 1]))
    open_store({"small": read_set(small_set)}, tmp_path / "cache", progress=False)
    assert len(count) == 3


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "Format not recognised"), (b"no audio at all" * 100, "Format not recognised"), (encoded(voice(1.0))[:-2000], ""),
    (encoded(np.zeros(0, np.float32), format="WAV"), "no samples"),
    (encoded(voice(0.2)), "cut short after 0.20 s of 1.00"),
    (encoded(np.array([0.1, np.nan] * 8000, np.float32), format="WAV", subtype="FLOAT"), "not numbers"),
])
def test_audio_that_cannot_be_decoded_is_named_and_left_out(small_set, tmp_path, caplog, content, reason):
    """The others stay, the bad one is counted with a reason, each time the store is opened, and warned of in one line."""
    replace_audio(small_set, 1, content)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            store = open_store({"mine": read_set(small_set.parent / "folder")}, tmp_path / "cache", progress=False)
        assert [utterance.id for utterance in store.utterances] == ["small-0", "small-2"]
        np.testing.assert_allclose(store.samples(1) / 32768, voice(1.0, seed=2), atol=1e-4)
        (name, utterance, why), = store.failures
        assert (name, utterance) == ("mine", "small-1")
        assert why
        assert reason in why
        assert caplog.messages[0].startswith("mine: 1 of 3 utterances left out, their audio cannot be decoded: small-1: ")
        assert "\n" not in caplog.messages[0]


def test_a_set_of_which_nothing_can_be_decoded_is_an_error(tmp_path):
    """One line that names the audio and the first reason; nothing half-made stays in the cache."""
    (tmp_path / "a.flac").write_bytes(b"nothing")
    (tmp_path / "a.tsv").write_text("utterance\ttext\na\thello\n")
    with pytest.raises(DataError, match=r"a\.flac: no audio of mine could be decoded; first reason: "):
        open_store({"mine": read_set(tmp_path)}, tmp_path / "cache", progress=False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_used_is_named(small_set, tmp_path):
    """A file in the way of the folder, and decoded audio that does not fit its index: one line each."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the decoded audio cannot be kept there"):
        open_store({"small": read_set(small_set)}, tmp_path / "file", progress=False)
    open_store({"small": read_set(small_set)}, tmp_path / "cache", progress=False)
    for suffix in ("pcm", "npz"):
        path = next((tmp_path / "cache").glob(f"*.{suffix}"))
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DataError, match=r"does not fit its index .*; delete both"):
            open_store({"small": read_set(small_set)}, tmp_path / "cache", progress=False)


@pytest.mark.parametrize(("rate_hz", "channels", "format", "subtype"), [
    (48000, 1, "MP3", None), (8000, 1, "WAV", "PCM_16"), (44100, 2, "FLAC", None), (16000, 1, "OGG", "OPUS"), (96000, 6, "WAV", "FLOAT")])
def test_any_rate_and_channel_count_becomes_16_khz_mono(rate_hz, channels, format, subtype):
    """The same sound in every form decodes to about the same samples."""
    sound = np.repeat(voice(1.0, rate_hz=rate_hz)[:, None], channels, axis=1)
    samples = decode(encoded(sound, rate_hz, format, subtype)) / 32768
    expected = voice(1.0)
    assert abs(len(samples) - 16000) < 800
    count = min(len(samples), 16000)
    assert np.corrcoef(samples[:count], expected[:count])[0, 1] > 0.95


def test_samples_over_full_scale_do_not_wrap_around():
    """A lossy file may decode beyond 1.0: that is the largest int16, not a negative one."""
    loud = encoded(np.array([1.5, -1.5, 1.0, 0.0] * 100, np.float32), format="WAV", subtype="FLOAT")
    assert decode(loud)[:4].tolist() == [32767, -32768, 32767, 0]
