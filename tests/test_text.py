"""The normal form of text, and numbers as they are spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.text import normalise


@pytest.mark.parametrize(("written", "spoken"), [
    ("MISTER QUILTER'S MANNER", "mister quilter's manner"),
    ("  Well-known,  co-operative…  ", "well known co operative"),
    ("Mr. and Mrs. Smith vs. Dr. Jones, etc.", "mister and missus smith versus doctor jones et cetera"),
    ("He said no. 5 is No. 7", "he said number five is number seven"),
    ("I said no.", "i said no"),
    ("Rhythm & Blues @ home", "rhythm and blues at home"),
    ("Café déjà-vu, Œuvre, Straße, Ångström", "cafe deja vu oeuvre strasse angstrom"),
    ("the U.S.A. at 5 p.m.", "the u s a at five p m"),
    ("the boys' 'tis don’t o'clock ‘quoted’ rock 'n' roll", "the boys tis don't o'clock quoted rock n roll"),
    ("mp3 files in 3D", "mp three files in three d"),
    ("слово 漢字 !?", ""),
    ("", ""),
])
def test_normal_form(written, spoken):
    """Case, punctuation, accents, abbreviations and signs end in letters, inner apostrophes and single spaces."""
    assert normalise(written) == spoken


@pytest.mark.parametrize(("written", "spoken"), [
    ("0", "zero"),
    ("15", "fifteen"),
    ("342", "three hundred forty two"),
    ("1,250,007", "one million two hundred fifty thousand seven"),
    ("5000", "five thousand"),
    ("1848", "eighteen forty eight"),
    ("1905", "nineteen oh five"),
    ("1900", "nineteen hundred"),
    ("2005", "two thousand five"),
    ("2025", "twenty twenty five"),
    ("2025.", "twenty twenty five"),
    ("1990s", "nineteen nineties"),
    ("the '80s", "the eighties"),
    ("2000s", "two thousands"),
    ("1st 2nd 3rd 12th 20th 21st 100th", "first second third twelfth twentieth twenty first one hundredth"),
    ("2.5", "two point five"),
    (".5", "point five"),
    ("90%", "ninety percent"),
    ("007", "zero zero seven"),
    ("$1", "one dollar"),
    ("$3.50", "three dollars and fifty cents"),
    ("£1,000", "one thousand pounds"),
    ("$1.5 million", "one point five million dollars"),
    ("$0.01", "one cent"),
    ("11:30 am", "eleven thirty am"),
    ("9:05", "nine oh five"),
    ("12:00", "twelve"),
    ("15-20", "fifteen twenty"),
    ("408-247-8880", "four zero eight two four seven eight eight eight zero"),
    ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
])
def test_numbers_are_written_out(written, spoken):
    """Digits become the words that a reader would say."""
    assert normalise(written) == spoken


@given(st.text())
def test_only_letters_apostrophes_and_single_spaces_come_out(text):
    """Whatever goes in, the result keeps to the alphabet, and normalising it again changes nothing."""
    result = normalise(text)
    assert set(result) <= set("abcdefghijklmnopqrstuvwxyz' ")
    assert result == " ".join(result.split())
    assert not any(word.startswith("'") or word.endswith("'") for word in result.split())
    assert normalise(result) == result


@given(st.text(alphabet="0123456789.,:$%£€'s thnd-", max_size=30))
def test_no_number_breaks_it(text):
    """Any mixture of digits and the signs around them is spelled without an error and without a digit left."""
    assert not any(c.isdigit() for c in normalise(text))
