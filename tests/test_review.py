"""Texts that a model and a teacher both contradict are put right or left out; all else of a set stays as it is."""

import pytest
from click.testing import CliRunner

from asr.cli import commands
from asr.errors import DataError
from asr.training.manifests import read_encoded, read_set
from asr.training.review import DROPPED, KEPT, RELABELLED, fate, review
from tests.small_sets import write_set

TEXT = "the cat sat on the mat"


@pytest.mark.parametrize(("heard", "taught", "expected"), [
    ("the cat sat", None, KEPT),                                            # the teacher was not asked
    ("a dog ran home today", ("The cat sat on the mat.", -0.5), KEPT),      # it saves the text, sure or not
    ("a dog ran home today", ("A dog ran home.", -0.05), RELABELLED),
    ("a dog ran home today", ("A dog ran home.", -0.5), DROPPED),           # it is not sure
    ("a dog ran home today", ("Quite another thing was said.", -0.05), DROPPED),      # model and teacher contradict each other, too
    ("", ("", 0.0), DROPPED),                                               # nothing can be heard
])
def test_fate(heard, taught, expected):
    """What becomes of an utterance, by what was heard in it."""
    assert fate(TEXT, heard, taught) == expected


HEARD = {"s-0": "the cat sat on the mat", "s-1": "a dog ran home", "s-2": "it rains", "s-3": ""}
TAUGHT = {1.1: ("A dog ran\nhome.", -0.05), 1.2: ("The cat sat on the mat.", -0.3), 1.3: ("Nothing of it.", -0.9)}       # by length


def teacher(samples):
    """As TAUGHT has it."""
    return TAUGHT[round(len(samples) / 16_000, 1)]


def hear(utterances):
    """As HEARD has it."""
    return (HEARD[one.id] for one in utterances)


def test_a_set_is_reviewed(tmp_path):
    """One text is confirmed by the model, one by the teacher, one is put right, one goes; the audio stays what it was, byte for byte."""
    before = read_set(write_set(tmp_path, "s", [1.0, 1.1, 1.2, 1.3], [TEXT] * 4))
    found = review("s", before, tmp_path / "out", hear, teacher, progress=False)
    after = read_set(tmp_path / "out" / "s")
    assert [(one.id, one.speaker, one.text, one.label, one.score) for one in after] == [
        ("s-0", "speaker0", TEXT, "human", None), ("s-1", "speaker1", "A dog ran home.", "teacher", -0.05),
        ("s-2", "speaker2", TEXT, "human", None)]
    assert [read_encoded(one.location) for one in after] == [read_encoded(one.location) for one in before[:3]]
    assert found.fates == {KEPT: 2, RELABELLED: 1, DROPPED: 1}
    assert found.contradicted == [("s-1", TEXT, "a dog ran home", "A dog ran home."), ("s-3", TEXT, "", "Nothing of it.")]


def test_a_run_that_was_stopped_goes_on(tmp_path):
    """What was heard is not heard again; a line that was cut short is."""
    before = read_set(write_set(tmp_path, "s", [1.0, 1.1, 1.2, 1.3], [TEXT] * 4))

    def stopping(utterances):
        yield HEARD["s-0"]
        yield HEARD["s-1"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        review("s", before, tmp_path / "out", stopping, teacher, progress=False)
    kept = tmp_path / "out" / "s.heard.tsv"
    kept.write_text(kept.read_text()[:-3])
    asked = []
    found = review("s", before, tmp_path / "out", lambda rest: asked.extend(one.id for one in rest) or hear(rest), teacher, progress=False)
    assert asked == ["s-1", "s-2", "s-3"]
    assert found.fates == {KEPT: 2, RELABELLED: 1, DROPPED: 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["s.heard.tsv", "s.tar", "s.taught.tsv", "s.tsv"]


def test_a_folder_that_cannot_be_written(tmp_path):
    """One line that names it."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"out: cannot be written: .*; free some room"):
        review("s", read_set(write_set(tmp_path, "s", [1.0])), tmp_path / "out", hear, teacher, progress=False)


def test_the_command(tmp_path, tiny_bundle, monkeypatch):
    """A real model in processes of its own, which hears other words, so that the teacher is asked about everything."""
    write_set(tmp_path, "s", [1.1, 1.2, 1.3], [TEXT] * 3)
    monkeypatch.setattr("asr.training.transcriber.Transcriber", lambda folder, tokenizer: teacher)
    arguments = ["review", str(tmp_path / "s.tsv"), "--out", str(tmp_path / "out"), "--bundle", str(tiny_bundle.folder), "--jobs", "1",
                 "--teacher", str(tmp_path), "--tokenizer", str(tmp_path)]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    assert "s.tsv: 1 kept, 2 dropped\n" in result.output
    assert "    teacher  Nothing of it.\n" in result.output
    assert [one.text for one in read_set(tmp_path / "out" / "s")] == [TEXT]
