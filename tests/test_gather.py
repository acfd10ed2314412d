"""Sets from public repositories: found in git, read in each repository's own layout, and only what is usable is kept."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from asr.commands import gather as command
from asr.errors import AsrError, DataError
from asr.training import sources
from asr.training.audio_store import decode
from asr.training.gathering import gather, spans_of
from asr.training.git_files import GitFiles, fetch
from asr.training.manifests import read_encoded, read_set
from asr.training.sources import SOURCES, Source
from asr.training.transcriber import Transcriber
from tests.small_sets import encoded, voice


def repository(folder: Path, files: dict[str, bytes | str]) -> Path:
    """A git repository with one commit of these files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for arguments in (("init", "-q"), ("add", "-A"), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "all")):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)
    return folder


def clip(seconds: float = 1.5, seed: int = 0, **kind) -> bytes:
    """Speech-like sound, encoded."""
    return encoded(voice(seconds, seed), **kind)


READERS = [                                                                # set, files, what is found: (id, speaker, text)
    ("train-cv1", {
        "asr/cv-valid-dev.csv": "filename,text,up_votes,down_votes\ncv-valid-dev/s-1.mp3,it rained,2,0\ncv-valid-dev/s-2.mp3,no,1,3\n",
        "asr/cv-valid-dev/s-1.mp3": b"1", "asr/cv-valid-dev/s-2.mp3": b"2", "asr/cv-valid-dev/s-3.mp3": b"3",
    }, [("cv1-s-1", "", "it rained")]),
    ("train-cv-teacher", {
        "dataset/validated.tsv": 'client_id\tpath\tsentence\nx\tcv_1.mp3\t"Yes, he said.\n', "dataset/invalidated.tsv":
        "client_id\tpath\tsentence\nx\tcv_2.mp3\tNo.\n", "clips/cv_1.mp3": b"1", "clips/cv_2.mp3": b"2", "clips/cv_3.mp3": b"3",
    }, [("cv_3", "", None)]),
    ("train-kathleen", {"data/a1.txt": "Will we ever?\n", "data/a1.wav": b"1", "data/a2.wav": b"2"},
     [("a1", "kathleen", "Will we ever?\n")]),
    ("train-libri-3", {
        "x/LibriSpeechSamples/train-clean-100/19/7/19-7.trans.txt": "19-7-0000 ONE TWO\n19-7-0001 THREE\n",
        "x/LibriSpeechSamples/train-clean-100/19/7/19-7-0000.flac": b"1",
        "x/LibriSpeechSamples/train-clean-100/19/7/._19-7-0001.flac": b"2",
        "x/LibriSpeechSamples/dev-clean/20/7/20-7-0000.flac": b"3",
    }, [("19-7-0000", "19", "ONE TWO")]),
    ("train-libri-4", {
        "sample_data_libriSpeech/audio/40/2/40-2.trans.txt": "40-2-0000 A B\n", "sample_data_libriSpeech/audio/40/2/40-2-0000.flac": b"1",
        "sample_data_libriSpeech/parsed-by-word/40-2-0000.flac": b"2",
    }, [("40-2-0000", "40", "A B")]),
    ("train-libri-1", {"270782/8975-270782.trans.txt": "8975-270782-0001 HE WENT\n", "270782/8975-270782-0001.flac": b"1"},
     [("8975-270782-0001", "8975", "HE WENT")]),
    ("train-libri-2", {"data/LibriSpeech/training/male/78-3-0001.flac": b"1", "data/VCC/a.wav": b"2"}, [("78-3-0001", "78", None)]),
    ("train-an4", {
        "an4/etc/an4_train.transcription": "<s> RUBOUT G M </s> (an251-fash-b)\n", "an4/wav/an4_clstk/fash/an251-fash-b.sph": b"1",
        "an4/wav/an4test_clstk/fcaw/an406-fcaw-b.sph": b"2",
    }, [("an251-fash-b", "an4-fash", "RUBOUT G M")]),
    ("train-prompts", {
        "en/core-sounds-en.txt": "goodbye: Goodbye.\nvm-press: please press the key\nbeep: [this is a sound]\n", "en/extra-sounds-en.txt":
        "sub/hours.wav: we are open now\n", "en/goodbye.wav": b"1", "en/vm-press.wav": b"2", "en/beep.wav": b"3", "en/sub/hours.wav": b"4",
    }, [("prompt-sub-hours", "allison", "we are open now"), ("prompt-vm-press", "allison", "please press the key")]),
]


@pytest.mark.parametrize(("name", "files", "expected"), READERS, ids=[name for name, _, _ in READERS])
def test_every_source_is_read_in_its_own_layout(tmp_path, name, files, expected):
    """Audio with its words, or without where nobody has written them down; what belongs to other parts of a corpus is left alone."""
    with GitFiles(repository(tmp_path / "clone", files)) as found:
        read = list(SOURCES[name].read(found))
        assert [(one.id, one.speaker, one.text) for one in read] == expected
        assert all(found.read(one.blob) is not None for one in read)


def test_every_source_has_a_test():
    """The list above is of all of them."""
    assert {name for name, _, _ in READERS} == set(SOURCES)


def test_a_repository_is_fetched_once(tmp_path):
    """One commit of it, also where it stands under another name than a branch; what has been fetched needs the origin no more."""
    origin = repository(tmp_path / "origin", {"a/b.txt": "old"})
    (origin / "a/b.txt").write_text("new")
    for arguments in (("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "more"), ("update-ref", "refs/pull/2/head", "HEAD"),
                      ("reset", "-q", "--hard", "HEAD~")):
        subprocess.run(["git", "-C", str(origin), *arguments], check=True, capture_output=True)
    for ref, text in (("HEAD", "old"), ("refs/pull/2/head", "new")):
        with fetch(origin.as_uri(), ref, tmp_path / text) as files:
            assert files.text("a/b.txt") == text
    origin.rename(tmp_path / "gone")
    with fetch(origin.as_uri(), "HEAD", tmp_path / "old") as files:
        assert files.text("a/b.txt") == "old"
        with pytest.raises(DataError, match=r"no c\.txt in it at"):
            files.text("c.txt")
    with pytest.raises(DataError, match=r"origin: git cannot read it: .*origin"):
        fetch(origin.as_uri(), "HEAD", tmp_path / "never")


LINES = {
    "1-1-0000": "THE CAT SAT UPON THE MAT",
    "1-1-0001": "SO SHE WENT INTO THE GARDEN TO CUT A LEAF",                  # held out
    "1-1-0002": "TOO SHORT",
    "1-1-0003": "FAR TOO MANY WORDS FOR SO SHORT A TIME AS THIS IS IN ANY MOUTH",
    "1-1-0004": "NOT AUDIO",
    "2-1-0000": "A DOG RAN HOME",
}


@pytest.fixture
def books(tmp_path) -> GitFiles:
    """A repository of six utterances, four of which cannot be used."""
    files: dict[str, bytes | str] = {"270782/1-1.trans.txt": "".join(f"{name} {text}\n" for name, text in LINES.items())}
    lengths = {"1-1-0001": 3.0, "1-1-0002": 0.5}
    for number, name in enumerate(LINES):
        files[f"270782/{name}.flac"] = b"RIFF" if name == "1-1-0004" else clip(lengths.get(name, 1.5), number)
    with GitFiles(repository(tmp_path / "books", files)) as found:
        yield found


SOURCE = SOURCES["train-libri-1"]


def test_what_can_be_used_becomes_a_set(books, tmp_path):
    """Two utterances remain, sound and text, in a set that training reads; the others are counted by reason."""
    held_out = spans_of(["Then, so she went into the garden to cut!"])
    made = gather("train-books", SOURCE, books, tmp_path / "sets", held_out, progress=False)
    read = read_set(tmp_path / "sets" / "train-books")
    assert [(one.id, one.speaker, one.text, one.label) for one in read] == [
        (name, name[0], LINES[name], "human") for name in ("1-1-0000", "2-1-0000")]
    assert [len(decode(read_encoded(one.location))) for one in read] == [24_000, 24_000]
    assert (made.utterances, made.speakers, made.seconds) == (2, {"1", "2"}, pytest.approx(3.0))
    assert made.left_out == {"texts of a set that is held out": 1, "not between 0.8 and 30 s": 1, "audio that cannot be decoded": 1,
                             "too fast or too slow for their texts": 1}
    assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == ["train-books.tar", "train-books.tsv"]


def test_a_teacher_listens_once(tmp_path):
    """What nobody wrote down has its label and score; a run that was stopped goes on with its labels, of which the last is cut short."""
    clips = {f"data/LibriSpeech/training/male/78-3-000{number}.flac": clip(1.5, number) for number in range(3)}
    heard = []

    def teacher(samples: np.ndarray) -> tuple[str, float]:
        heard.append(len(samples))
        if len(heard) == 3:
            raise KeyboardInterrupt
        return f"heard number {len(heard)}", -0.05 * len(heard)

    with GitFiles(repository(tmp_path / "clone", clips)) as files:
        with pytest.raises(DataError, match="nobody has written down what is said in it; let a teacher listen"):
            gather("train-x", SOURCES["train-libri-2"], files, tmp_path, set(), progress=False)
        with pytest.raises(KeyboardInterrupt):
            gather("train-x", SOURCES["train-libri-2"], files, tmp_path, set(), teacher, threads=1, progress=False)
        assert not list(tmp_path.glob("*.part"))
        labels = tmp_path / "train-x.labels.tsv"
        labels.write_text(labels.read_text() + "78-3-0002\t-0.0", "utf-8")
        made = gather("train-x", SOURCES["train-libri-2"], files, tmp_path, set(), lambda samples: ("unsure", -0.9), 1, False)
    assert [(one.text, one.label, one.score) for one in read_set(tmp_path / "train-x")] == [
        ("heard number 1", "teacher", -0.05), ("heard number 2", "teacher", -0.1)]
    assert made.left_out == {"labels that the teacher scores below -0.4": 1}
    assert len(labels.read_text().splitlines()) == 4


def test_a_disk_that_is_full_leaves_no_half_a_set(books, tmp_path, monkeypatch):
    """The error says what to do, and the set is not there, so that the next run makes it; labels that were lost are made again."""
    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("asr.training.gathering.write_whole", full)
        with pytest.raises(DataError, match="No space left on device; free some room and run it again"):
            gather("train-books", SOURCE, books, tmp_path / "sets", set(), progress=False)
    assert not (tmp_path / "sets" / "train-books.tsv").exists()
    (tmp_path / "sets" / "train-books.labels.tsv").touch()
    assert gather("train-books", SOURCE, books, tmp_path / "sets", set(), progress=False).utterances == 3


def test_a_set_of_nothing_is_an_error(tmp_path):
    """A repository whose audio cannot be used makes no set."""
    files = {"270782/1-1.trans.txt": "1-1-0000 A CAT\n", "270782/1-1-0000.flac": b"RIFF"}
    with GitFiles(repository(tmp_path / "clone", files)) as found, pytest.raises(DataError, match="nothing in it can be used: 1 audio"):
        gather("train-books", SOURCE, found, tmp_path / "sets", set(), progress=False)
    assert not list((tmp_path / "sets").iterdir())


def test_the_command_makes_lists_and_refuses(tmp_path, monkeypatch):
    """Sets are listed; one that is there is left alone; errors are one line."""
    clone = repository(tmp_path / "clone", {"270782/1-1.trans.txt": "1-1-0000 THE CAT SAT THERE\n", "270782/1-1-0000.flac": clip()})
    monkeypatch.setitem(sources.SOURCES, "train-libri-1", Source(SOURCE.repository, SOURCE.what, SOURCE.licence, SOURCE.read))

    def run(*arguments):
        return CliRunner().invoke(command.gather, ["--out", str(tmp_path / "sets"), "--jobs", "1", *arguments])

    listed = run()
    assert all(f"{name} " in listed.output and source.url in listed.output for name, source in SOURCES.items())
    made = run("train-libri-1", "--git", f"train-libri-1={clone}")
    assert f"{tmp_path / 'sets' / 'train-libri-1'}.tar: 1 utterances, 0.00 h, 1 speaker; {SOURCE.what}; CC BY 4.0" in made.output
    again = run("train-libri-1", "--git", f"train-libri-1={clone}")
    assert "there already" in again.output
    assert "no such set or text; there are train-cv1" in str(run("train-nowhere").exception)
    assert "'': no such set" in str(run("").exception)
    assert run("--teacher", "x", "train-an4").exit_code == 2
    assert run("--git", "train-an4", "train-an4").exit_code == 2
    wrong = run("train-an4", "--git", f"train-an4={clone}").exception
    assert isinstance(wrong, AsrError)
    assert "no an4/etc/an4_train.transcription in it" in str(wrong)


def write_teacher(folder: Path) -> Path:
    """Moonshine's two graphs in little: the decoder says token 5, 6 and the end, whatever it hears, and counts its steps in its cache."""
    folder.mkdir()
    sound = helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"])
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "samples", 1])
    axis = numpy_helper.from_array(np.array([2]), "axis")
    add_axis = helper.make_node("Unsqueeze", ["input_values", "axis"], ["last_hidden_state"])
    encoder = helper.make_graph([add_axis], "encoder", [sound], [states], [axis])
    table = np.zeros((8, 8), np.float32)
    table[1, 5] = table[5, 6] = table[6, 2] = 20.0
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["logits"]),
             helper.make_node("Concat", ["past_key_values.0.decoder.key", "one"], ["present.0.decoder.key"], axis=0),
             helper.make_node("Identity", ["past_key_values.0.encoder.key"], ["present.0.encoder.key"])]
    sides = "decoder", "encoder"
    keys = [helper.make_tensor_value_info(f"past_key_values.0.{side}.key", TensorProto.FLOAT, ["n", 2, 1, 3]) for side in sides]
    decoder = helper.make_graph(
        nodes, "decoder", [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, 1]), *keys],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, 8]),
         *(helper.make_tensor_value_info(f"present.0.{side}.key", TensorProto.FLOAT, None) for side in sides)],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.zeros((1, 2, 1, 3), np.float32), "one")])
    for name, graph in (("encoder_model", encoder), ("decoder_model_merged", decoder)):
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / f"{name}.onnx")
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, "<0xC3>": 3, "<0xA9>": 4, "\u2581caf": 5, "\u2581now": 6}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}), "utf-8")
    return folder


def test_a_teacher_writes_down_what_it_hears(tmp_path):
    """Token by token until it ends, with the mean of their log probabilities; words, and letters spelled as bytes."""
    folder = write_teacher(tmp_path / "teacher")
    teacher = Transcriber(folder, folder / "tokenizer.json")
    text, score = teacher(np.zeros(16_000, np.float32))
    assert text == "caf now"
    assert score == pytest.approx(-np.log1p(7 * np.exp(-20.0)))
    assert teacher._text([1, 5, 3, 4, 6, 2]) == "caf\u00e9 now"
    with pytest.raises(DataError, match=r"encoder_model\.onnx: no such teacher"):
        Transcriber(tmp_path, folder / "tokenizer.json")
    with pytest.raises(DataError, match=r"encoder_model\.onnx: not the teacher's tokenizer\.json"):
        Transcriber(folder, folder / "encoder_model.onnx")
