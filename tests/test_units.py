"""Unit lists: files, ids, and text from word pieces."""

import pytest

from asr.errors import DataError
from asr.units import BLANK, BLANK_ID, PHONES, WORD_END, Units, phone_units


def test_phones_are_blank_thirty_nine_phones_and_the_word_end():
    """The phone head has 41 outputs: blank first, the word end last."""
    assert len(PHONES) == 41
    assert PHONES[BLANK_ID] == BLANK
    assert PHONES[-1] == WORD_END
    assert phone_units().ids(["AH", WORD_END]) == [PHONES.index("AH"), 40]


def test_a_written_file_reads_back(tmp_path):
    """Writing and reading give the same units, ids and line ends on every system."""
    units = Units([BLANK, "▁the", "'", "s"])
    units.write(tmp_path / "pieces.txt")
    assert (tmp_path / "pieces.txt").read_bytes() == "<blank>\n▁the\n'\ns\n".encode()
    again = Units.read(tmp_path / "pieces.txt")
    assert again.units == units.units
    assert again[3] == "s"
    assert len(again) == 4
    assert "▁the" in again


def test_pieces_become_words():
    """`▁` begins a word, blanks vanish."""
    units = Units([BLANK, "▁do", "n", "'", "t", "▁"])
    assert units.text([1, 0, 2, 3, 4, 0, 5, 4]) == "don't t"
    assert units.text([]) == ""


@pytest.mark.parametrize(("content", "message"), [
    ("AA\n<blank>\n", "phones.txt:1: found 'AA'; <blank> must be the first"),
    ("<blank>\nAA\nAA\n", "phones.txt:3: unit 'AA' stands in line 2 already"),
    ("<blank>\nA A\n", "phones.txt:2: unit 'A A' is empty or has a space"),
    ("<blank>\n\nAA\n", "phones.txt:2: unit '' is empty"),
])
def test_a_bad_line_is_named(tmp_path, content, message):
    """A file that is no unit list is refused with its name, the line and the reason."""
    path = tmp_path / "phones.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        Units.read(path)


def test_missing_file_and_unknown_unit(tmp_path):
    """A missing file and a unit that is not in the list are told in one line."""
    with pytest.raises(DataError, match=r"nothing\.txt: cannot be read"):
        Units.read(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="'QQ' is none of the 41 units"):
        phone_units().ids(["QQ"])
