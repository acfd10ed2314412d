"""Subtitle files keep the usual rules and parse back to the words they were made of."""

import csv
import io
import itertools
import json
import random
import re

import pytest

from asr.decoding.hypothesis import Word
from asr.subtitles import FORMATS, cues, srt, txt


def speech(seed: int, count: int = 400) -> list[Word]:
    """Random words: lengths, durations and gaps as in speech, a long pause now and then."""
    rng, now_s, words = random.Random(seed), 3590.0, []                        # crosses a full hour
    for _ in range(count):
        text = "".join(rng.choices("abcdefghij'", k=rng.choice([1, 2, 3, 4, 5, 6, 7, 9, 14])))
        end_s = now_s + rng.uniform(0.04, 0.12) * (1 + len(text))
        words.append(Word(text, now_s, end_s, rng.random()))
        now_s = end_s + rng.choice([0, 0, 0, 0.04, 0.1, 0.3, rng.uniform(0.5, 4)])
    return words


def seconds(clock: str) -> float:
    """00:01:02,500 or 00:01:02.500 -> 62.5."""
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def parsed_cues(text: str) -> list[tuple[float, float, list[str]]]:
    """Start, end and lines of each cue of an srt or vtt file; numbers must count up from 1."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    out = []
    for lines in blocks:
        if lines[0] == "WEBVTT":
            continue
        if re.fullmatch(r"\d+", lines[0]) and "-->" in lines[1]:
            assert int(lines[0]) == len(out) + 1
            lines = lines[1:]
        start, arrow, end = lines[0].split(" ")
        assert arrow == "-->"
        out.append((seconds(start), seconds(end), lines[1:]))
    return out


@pytest.mark.parametrize("seed", range(5))
def test_cue_rules(seed):
    """At most two lines of 42 characters, 1 to 7 s, no overlap, no word cut or lost, each cue starts with its first word."""
    words = speech(seed)
    made = cues(words)
    assert len(made) > 50
    assert " ".join(line for cue in made for line in cue.lines).split(" ") == [word.text for word in words]
    starts = {word.start_s for word in words}
    for cue in made:
        assert cue.start_s in starts
        assert len(cue.lines) <= 2
        assert max(map(len, cue.lines)) <= 42
        assert 0.999 <= cue.end_s - cue.start_s <= 7.001
    for cue, following in itertools.pairwise(made):
        assert cue.end_s <= following.start_s


def test_cues_break_at_pauses():
    """Words on the two sides of a pause do not share a cue, and the gap stays empty."""
    words = [Word("before", 0.0, 1.2, 1), Word("after", 3.0, 4.5, 1)]
    assert [(cue.start_s, cue.end_s, cue.lines) for cue in cues(words)] == [(0.0, 1.2, ("before",)), (3.0, 4.5, ("after",))]


def test_a_long_cue_is_cut_at_its_widest_gap():
    """Speech without a pause is cut where the speaker hesitated, not at the last word that fits."""
    words, now_s = [], 0.0
    for index in range(30):
        words.append(Word("wording", now_s, now_s + 0.3, 1))
        now_s += 0.5 if index == 7 else 0.32
    assert len(" ".join(cues(words)[0].lines).split()) == 8


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_cues_parse_back(name):
    """srt and vtt read back give the cues, to the millisecond."""
    words = speech(7)
    read = parsed_cues(FORMATS[name](words))
    made = cues(words)
    assert len(read) == len(made)
    for (start_s, end_s, lines), cue in zip(read, made, strict=True):
        assert (start_s, end_s) == pytest.approx((cue.start_s, cue.end_s), abs=6e-4)
        assert tuple(lines) == cue.lines
    assert FORMATS[name](words).startswith("1\n00:59:50,000 --> " if name == "srt" else "WEBVTT\n\n00:59:50.000 --> ")


def test_tables_parse_back():
    """json and tsv read back give the words with times and confidence."""
    words = speech(3)
    from_json = json.loads(FORMATS["json"](words))["words"]
    from_tsv = list(csv.DictReader(io.StringIO(FORMATS["tsv"](words)), delimiter="\t", quoting=csv.QUOTE_NONE))
    for rows in (from_json, from_tsv):
        assert [row["text"] for row in rows] == [word.text for word in words]
        assert [float(row["start_s"]) for row in rows] == pytest.approx([word.start_s for word in words], abs=6e-4)
        assert [float(row["end_s"]) for row in rows] == pytest.approx([word.end_s for word in words], abs=6e-4)
        assert [float(row["confidence"]) for row in rows] == pytest.approx([word.confidence for word in words], abs=1e-4)


def test_plain_text():
    """Plain text has every word, and a new line after a long pause only."""
    words = [Word("one", 0, 1, 1), Word("two", 1.5, 2, 1), Word("three", 9, 10, 1)]
    assert txt(words) == "one two\nthree\n"


def test_no_words():
    """Without words each format is a valid empty file."""
    empty = {name: form([]) for name, form in FORMATS.items()}
    assert json.loads(empty.pop("json")) == {"text": "", "words": []}
    assert empty == {"txt": "", "srt": "", "vtt": "WEBVTT\n\n", "tsv": "start_s\tend_s\tconfidence\ttext\n"}


def test_a_word_longer_than_a_line():
    """A word longer than a line stands alone instead of being cut or lost."""
    assert [cue.lines for cue in cues([Word("x" * 60, 0, 1, 1), Word("y", 1, 2, 1)])] == [("x" * 60,), ("y",)]
    assert srt([Word("x" * 60, 0, 1, 1)]).count("x" * 60) == 1
