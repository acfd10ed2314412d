"""Word pieces: every normal text is encodable, and comes back."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import DataError
from asr.training.pieces import ALPHABET, PieceModel, read_texts
from asr.units import BLANK, Units

pytest.importorskip("sentencepiece")
TEXTS = ["the cat sat on the mat", "the dog and the cat didn't sit", "a mat and a hat that the cat sat on",
         "singing and ringing the bells on the hill", "she was bringing them something other than tea"] * 5
MODEL = PieceModel.train(TEXTS, 45)


def test_pieces_are_numbered_as_units():
    """The unit list begins with the blank, has as many units as asked for, and each letter and the apostrophe."""
    assert len(MODEL.units) == 45
    assert MODEL.units[0] == BLANK
    assert all(letter in MODEL.units for letter in ALPHABET)
    assert "▁the" in MODEL.units


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz' ", max_size=40).map(lambda text: " ".join(text.split())))
def test_any_normal_text_comes_back(text):
    """Letters that the training texts never showed are encoded too, never as the blank."""
    ids = MODEL.encode(text)
    assert 0 not in ids
    assert MODEL.decode(ids) == text


def test_drawn_segmentations_differ_and_spell_the_same():
    """Subword regularisation draws several segmentations of one text."""
    drawn = {tuple(MODEL.encode("the cat sat", alpha=0.1)) for _ in range(50)}
    assert len(drawn) > 3
    assert {MODEL.decode(ids) for ids in drawn} == {"the cat sat"}


def test_text_that_is_not_normal_is_refused():
    """A digit would become the unknown piece, which is the blank; it is an error instead."""
    with pytest.raises(DataError, match="normalise it first"):
        MODEL.encode("route 66")


def test_training_again_gives_the_same_pieces():
    """Pieces do not depend on chance, so a run can be repeated."""
    assert PieceModel.train(TEXTS, 45).units.units == MODEL.units.units


def test_too_few_texts_and_no_model_are_told():
    """More pieces than the texts can give, bytes that are no model, a missing file: one line each."""
    with pytest.raises(DataError, match="1 texts do not give 500 word pieces"):
        PieceModel.train(["the cat"], 500)
    with pytest.raises(DataError, match="no sentencepiece model"):
        PieceModel(b"nonsense")
    with pytest.raises(DataError, match=r"nowhere\.model: cannot be read"):
        PieceModel.read("nowhere.model")


def test_the_command_writes_model_and_units(tmp_path):
    """`python -m asr.training.pieces` reads manifests and text files and writes the three files."""
    (tmp_path / "set.tsv").write_text("utterance\ttext\n" + "".join(f"u{i}\tThe cat, number {i}\n" for i in range(300)))
    (tmp_path / "more.txt").write_text("A dog's life.\nWell-known hats!\n")
    assert read_texts(tmp_path / "more.txt") == ["a dog's life", "well known hats"]
    code = ("import sys; from asr.training import pieces; pieces.PieceModel.train([t for p in sys.argv[2:] for t in "
            "pieces.read_texts(p)], 60).write(sys.argv[1])")
    subprocess.run([sys.executable, "-c", code, tmp_path / "units", tmp_path / "set.tsv", tmp_path / "more.txt"], check=True)
    model = PieceModel.read(tmp_path / "units" / "pieces.model")
    assert Units.read(tmp_path / "units" / "pieces.txt").units == model.units.units
    assert len(Units.read(tmp_path / "units" / "phones.txt")) == 41
