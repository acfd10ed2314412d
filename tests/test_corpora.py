"""LibriSpeech and Common Voice are read in the layout they come in."""

import numpy as np
import pytest
import soundfile

from asr.errors import DataError
from asr.training.audio_store import decode
from asr.training.corpora import read_common_voice, read_corpus, read_librispeech
from asr.training.manifests import read_encoded
from tests.small_sets import voice, write_set

CLIPS = ("client_id\tpath\tsentence\tup_votes\n"
         "abc\tcommon_voice_en_1.mp3\tA \"quoted\" sentence.\t2\n"
         "def\tcommon_voice_en_2.mp3\tAnother one\t3\n")


@pytest.fixture
def librispeech(tmp_path):
    """Two chapters of two readers, as LibriSpeech lays them out."""
    for reader, chapter in ((84, 121123), (1272, 128104)):
        folder = tmp_path / "LibriSpeech" / "dev-clean" / str(reader) / str(chapter)
        folder.mkdir(parents=True)
        lines = []
        for number in range(2):
            name = f"{reader}-{chapter}-{number:04d}"
            soundfile.write(folder / f"{name}.flac", voice(0.5 + number, seed=reader), 16000)
            lines.append(f"{name} THE READER'S TEXT {number}\n")
        (folder / f"{reader}-{chapter}.trans.txt").write_text("".join(lines))
    return tmp_path / "LibriSpeech"


@pytest.fixture
def common_voice(tmp_path):
    """Two clips at 48 kHz as Common Voice lays them out."""
    folder = tmp_path / "en"
    (folder / "clips").mkdir(parents=True)
    for number in (1, 2):
        soundfile.write(folder / "clips" / f"common_voice_en_{number}.mp3", voice(2.0, seed=number, rate_hz=48000), 48000)
    (folder / "train.tsv").write_text(CLIPS)
    return folder


@pytest.mark.parametrize("part", ["", "dev-clean", "dev-clean/1272"])
def test_librispeech_is_read_at_any_height(librispeech, part):
    """The root, a part, a reader: all utterances below, with reader and text as they stand."""
    utterances = read_corpus(librispeech / part)
    assert len(utterances) == (2 if part.endswith("1272") else 4)
    first = utterances[0]
    assert (first.id, first.speaker, first.text) == ("1272-128104-0000", "1272", "THE READER'S TEXT 0")
    assert len(decode(read_encoded(first.location))) == 8000


def test_bad_lines_of_librispeech_are_named(librispeech):
    """Audio that is missing and a line without text are named by file and line; so is a folder without transcripts."""
    transcript = next(librispeech.rglob("84-*.trans.txt"))
    transcript.write_text(transcript.read_text() + "84-121123-0002 MORE\n")
    with pytest.raises(DataError, match=r"84-121123.trans.txt:3: its audio .*0002.flac cannot be read"):
        read_corpus(librispeech)
    transcript.write_text("84-121123-0000\n")
    with pytest.raises(DataError, match=r"84-121123.trans.txt:1: expected an utterance and its text"):
        read_corpus(librispeech)
    with pytest.raises(DataError, match="expected the layout of LibriSpeech"):
        read_librispeech(librispeech.parent / "nowhere")


def test_common_voice_is_read_by_folder_or_by_split(common_voice):
    """The folder means validated.tsv, or train.tsv where that is missing; durations come from the release's own table."""
    (common_voice / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_en_2.mp3\t2040\n")
    for path in (common_voice, common_voice / "train.tsv"):
        utterances = read_corpus(path)
        assert [(utterance.id, utterance.speaker, utterance.text, utterance.seconds) for utterance in utterances] == [
            ("common_voice_en_1", "abc", 'A "quoted" sentence.', None), ("common_voice_en_2", "def", "Another one", 2.04)]
    (common_voice / "validated.tsv").write_text(CLIPS[:CLIPS.index("def")])
    assert len(read_corpus(common_voice)) == 1


def test_clips_decode_to_the_sound_that_was_recorded(common_voice):
    """48 kHz MP3 becomes 16 kHz, at its place in time and without gaps."""
    samples = decode(read_encoded(read_corpus(common_voice)[0].location)) / 32768
    expected = voice(2.0, seed=1)
    count = min(len(samples), len(expected))
    assert abs(len(samples) - len(expected)) < 800
    assert np.corrcoef(samples[:count], expected[:count])[0, 1] > 0.97


def test_bad_rows_of_common_voice_are_named(common_voice):
    """A clip that is not there, an empty sentence, a wrong header, a bad duration: file and line."""
    table = common_voice / "train.tsv"
    for content, says in ((CLIPS.replace("en_2", "en_9"), r"train.tsv:3: its audio .*en_9.mp3 cannot be read"),
                          (CLIPS.replace("Another one", ""), r"train.tsv:3: clip common_voice_en_2.mp3 has an empty sentence"),
                          (CLIPS.replace("sentence\tup", "text\tup"), r"train.tsv:1: no column sentence")):
        table.write_text(content)
        with pytest.raises(DataError, match=says):
            read_common_voice(common_voice)
    (common_voice / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_en_2.mp3\tlong\n")
    with pytest.raises(DataError, match=r"clip_durations.tsv:2: duration is 'long'"):
        read_common_voice(common_voice)


def test_a_set_of_our_own_is_still_a_set(tmp_path):
    """What is neither corpus is read as a tar with a TSV, and an own folder may well have a clips/ in it."""
    assert len(read_corpus(write_set(tmp_path, "own", [0.5, 0.6]))) == 2
    (tmp_path / "mine" / "clips").mkdir(parents=True)
    soundfile.write(tmp_path / "mine" / "clips" / "a.wav", voice(0.5), 16000)
    (tmp_path / "mine" / "texts.tsv").write_text("utterance\ttext\nclips/a.wav\thello\n")
    assert [utterance.text for utterance in read_corpus(tmp_path / "mine")] == ["hello"]
