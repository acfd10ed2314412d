"""Sentences out of text as books, articles and transcripts have it: cased and punctuated, no markup, no signs that nobody says."""

import re

WORDS = (2, 70)                      # of a sentence
LEAST_PLAIN = 0.9                    # part of its characters that are letters and common punctuation
SIGNS = {"’": "'", "‘": "'", "“": '"', "”": '"', "—": " - ", "–": "-", "…": "...", "\u2060": ""}

_SIGNS = str.maketrans(SIGNS)
_PICTURE, _LINK = re.compile(r"!\[[^\]]*\]\([^)]*\)"), re.compile(r"\[([^\]]*)\]\([^)]*\)")      # of Markdown
_NOTE, _TAG, _MARKS = re.compile(r"\\?\[[^\]]{0,40}\]"), re.compile(r"<[^>]+>"), re.compile(r"[*_`#>|~^]+")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|vs|etc|No|Gen|Col|Capt|Lt|Rev|Hon|[A-Z])\.$")
_BREAK = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z])")
_PLAIN = re.compile(r"[^\W\d_]|[ ,.'?!\"-]")
_FOREIGN = re.compile(r"https?:|www\.|[{}=\\]")


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph that can be said aloud, one after another."""
    found, current = [], ""
    for piece in _BREAK.split(tidy(paragraph)):
        current = f"{current} {piece}".strip()
        if not _ABBREVIATION.search(current):
            found.append(current)
            current = ""
    return [sentence for sentence in (*found, current) if is_plain(sentence)]


def tidy(text: str) -> str:
    """Without Markdown, HTML's tags, notes in brackets, and spaces in a row; quotation marks and dashes as on a typewriter."""
    text = _LINK.sub(r"\1", _PICTURE.sub("", text.translate(_SIGNS)))
    return " ".join(_MARKS.sub("", _TAG.sub("", _NOTE.sub("", text))).split())


def is_plain(sentence: str) -> bool:
    """Whether it is words with common punctuation, few digits, no address or formula, not too long."""
    return WORDS[0] <= len(sentence.split()) <= WORDS[1] and not _FOREIGN.search(sentence) \
        and len(_PLAIN.findall(sentence)) > LEAST_PLAIN * len(sentence)
