"""Sets are read from a tar or a folder with a TSV, and a row that cannot be used is named by file and line."""

import tarfile

import numpy as np
import pytest
import soundfile

from asr.errors import DataError
from asr.training.audio_store import decode
from asr.training.manifests import Location, list_audio, read_encoded, read_set
from tests.small_sets import HEADER, add_to_tar, encoded, voice, write_set

ROW = "{0}\tspeaker0\t1.00\tmade\thuman\t\ta text\n"


@pytest.fixture
def small_set(tmp_path):
    """Three utterances in small.tar and small.tsv."""
    return write_set(tmp_path, "small", [1.0, 0.5, 2.0], ["A Text, as it is.", "second", "third"])


@pytest.mark.parametrize("suffix", ["", ".tsv", ".tar"])
def test_a_set_is_found_by_any_of_its_names(small_set, suffix):
    """NAME, NAME.tsv and NAME.tar mean the same set; every field arrives as written, the text untouched."""
    utterances = read_set(small_set.with_name("small" + suffix))
    assert [utterance.id for utterance in utterances] == ["small-0", "small-1", "small-2"]
    first = utterances[0]
    assert (first.speaker, first.seconds, first.text, first.label, first.score) == ("speaker0", 1.0, "A Text, as it is.", "human", None)


def test_the_bytes_of_each_utterance_come_straight_from_the_tar(small_set):
    """What is read at an utterance's location is its own audio, without unpacking."""
    for number, utterance in enumerate(read_set(small_set)):
        samples = decode(read_encoded(utterance.location))
        np.testing.assert_allclose(samples / 32768, voice(utterance.seconds, seed=number), atol=1e-4)


def test_a_folder_with_a_tsv_is_a_set(tmp_path):
    """Audio may lie as files, named with or without suffix, in folders below; only utterance and text are required columns."""
    (tmp_path / "more").mkdir()
    soundfile.write(tmp_path / "one.wav", voice(0.5), 16000)
    soundfile.write(tmp_path / "more" / "two.flac", voice(0.7), 16000)
    (tmp_path / "texts.tsv").write_bytes(b"text\tutterance\r\nthe first\tone\r\nthe second\tmore/two.flac\r\n")
    for path in (tmp_path, tmp_path / "texts.tsv"):
        utterances = read_set(path)
        assert [(utterance.text, utterance.seconds) for utterance in utterances] == [("the first", None), ("the second", None)]
        assert [len(decode(read_encoded(utterance.location))) for utterance in utterances] == [8000, 11200]


@pytest.mark.parametrize(("rows", "line", "says"), [
    (ROW.format("small-0") + "small-1\tspeaker1\t1.0\tmade\thuman\t\t \n", 3, "small-1 has an empty text"),
    (ROW.format("small-0") + ROW.format("small-1") + "small-2\tspeaker\n", 4, "2 fields, expected 7"),
    (ROW.format("small-0") + ROW.format("nowhere"), 3, "nowhere is not in .*small.tar"),
    (ROW.format("small-0") + ROW.format("small-0"), 3, "stands in line 2 already"),
    (ROW.format(""), 2, "no utterance id"),
    (ROW.format("small-0").replace("1.00", "long"), 2, "seconds is 'long', expected a number"),
    (ROW.format("small-0").replace("1.00", "0"), 2, "seconds is 0, expected more than 0"),
    (ROW.format("small-0").replace("\t\t", "\tgood\t"), 2, "score is 'good', expected a number"),
])
def test_a_bad_row_is_named_by_file_and_line(small_set, rows, line, says):
    """Each kind of bad row raises one line that begins with FILE:LINE and says what is wrong."""
    manifest = small_set.with_suffix(".tsv")
    manifest.write_text(HEADER + rows, encoding="utf-8")
    with pytest.raises(DataError, match=rf"small\.tsv:{line}: .*{says}") as caught:
        read_set(small_set)
    assert "\n" not in str(caught.value)


def test_a_missing_shard_is_named(small_set):
    """A TSV whose tar is gone says which file is missing."""
    small_set.with_suffix(".tar").unlink()
    for name in ("small", "small.tsv", "small.tar"):
        with pytest.raises(DataError, match=r"small\.tsv:1: its shard small\.tar is missing"):
            read_set(small_set.with_name(name))


def test_other_unusable_manifests_are_named(small_set, tmp_path):
    """No manifest, a header without the columns, no rows, a wrong encoding, a broken tar, a folder with two TSVs: one line each."""
    manifest, shard = small_set.with_suffix(".tsv"), small_set.with_suffix(".tar")
    with pytest.raises(DataError, match=r"other\.tsv: no such manifest"):
        read_set(tmp_path / "other")
    rows = manifest.read_bytes()
    for content, says in ((b"id\tsentence\n", "small.tsv:1: no column utterance, text"), (HEADER.encode(), "no utterances in it"),
                          (rows.replace(b"third", b"\xe9"), "small.tsv:4: is not UTF-8"), (b"", "small.tsv:1: no column")):
        manifest.write_bytes(content)
        with pytest.raises(DataError, match=says):
            read_set(small_set)
    manifest.write_bytes(rows)
    shard.write_bytes(shard.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"small\.tar: is not a whole, uncompressed tar"):
        read_set(small_set)
    (tmp_path / "second.tsv").write_bytes(rows)
    with pytest.raises(DataError, match=r"expected one TSV in the folder, found second\.tsv, small\.tsv"):
        read_set(tmp_path)


def test_audio_that_is_gone_or_shorter_than_it_was_is_an_error(small_set):
    """Reading at a location that no longer holds raises one line that names the file."""
    location = read_set(small_set)[2].location
    with pytest.raises(DataError, match="has changed or is truncated"):
        read_encoded(Location(location.path, location.offset, 10 ** 9))
    small_set.with_suffix(".tar").unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_encoded(location)


def test_noise_needs_no_texts(tmp_path):
    """A folder or a tar of audio alone is a list of utterances without text; one with no audio says so."""
    (tmp_path / "street").mkdir()
    soundfile.write(tmp_path / "street" / "tram.wav", voice(1.0), 16000)
    (tmp_path / "street" / "readme.txt").write_text("not audio")
    with tarfile.open(tmp_path / "noise.tar", "w") as tar:
        add_to_tar(tar, "tram.flac", encoded(voice(1.0)))
    assert [utterance.id for utterance in list_audio(tmp_path)] == ["street/tram.wav"]
    assert [utterance.id for utterance in list_audio(tmp_path / "noise.tar")] == ["tram.flac"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no audio in it"):
        list_audio(tmp_path / "empty")
    with pytest.raises(DataError, match="no such folder or tar"):
        list_audio(tmp_path / "gone")


def test_the_shared_sets_are_whole(speech):
    """Every row of a real set finds its audio."""
    utterances = read_set(speech / "dev-libri")
    assert len(utterances) == 646
    assert abs(len(decode(read_encoded(utterances[0].location))) / 16000 - utterances[0].seconds) < 0.02
