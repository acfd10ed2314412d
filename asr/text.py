"""The one form of text that training, decoding and scoring share: lower-case letters a-z, apostrophes inside words, single spaces.

`normalise` turns any English text into it: numbers are written out, hyphens become spaces, accents go, "&" becomes "and",
abbreviations with a full stop ("Mr.") become words, dotted letters ("U.S.") single letters. An apostrophe stays only between two
letters ("don't", "o'clock"): at a word's edge ("'tis", "boys'") it cannot be told from a quotation mark, nor is it heard.
"""

import re
import unicodedata

from asr.numerals import spell_numbers

ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "ms": "miss", "dr": "doctor", "st": "saint", "prof": "professor", "jr": "junior",
                 "sr": "senior", "vs": "versus", "etc": "et cetera", "gen": "general", "col": "colonel", "capt": "captain",
                 "lt": "lieutenant", "sgt": "sergeant", "rev": "reverend", "hon": "honorable", "messrs": "messieurs",
                 "mt": "mount", "no": "number"}
SIGNS = {"&": " and ", "@": " at ", "+": " plus ", "=": " equals ", "°": " degrees ", "½": " half ", "¼": " quarter ",
         "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
         "ß": "ss", "ı": "i"}
_SIGNS = str.maketrans(SIGNS)
_ALWAYS_SHORT = r"\b(?:mr|mrs)\b\.?|\b(?:" + "|".join(name for name in ABBREVIATIONS if name not in ("mr", "mrs", "no")) + r")\."
_SHORT = re.compile(_ALWAYS_SHORT + r"|\bno\.(?=\s?\d)")       # "no." is "number" only before digits
_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}")                     # u.s.a.
_GLUED = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?!(?:st|nd|rd|th|s)\b)(?=[a-z])")       # mp3, 3d; not 4th or 1990s
_TIDY = re.compile(r"[^a-z' ]+")
_EDGE = re.compile(r"(?<![a-z])'+|'+(?![a-z])")
_PLAIN = re.compile(r"[a-z ]*")


def normalise(text: str) -> str:
    """The normal form of `text`, see the module; "" where there is nothing to say.

    Idempotent: normalise(normalise(x)) == normalise(x). Letters of other scripts and signs without a spoken form are dropped.
    """
    text = text.lower()
    if _PLAIN.fullmatch(text):
        return " ".join(text.split())
    text = text.translate(_SIGNS)
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    text = _DOTTED.sub(lambda match: match[0].replace(".", " "), text)
    text = _SHORT.sub(lambda match: ABBREVIATIONS[match[0].rstrip(".")], text)
    if any(c.isdigit() for c in text):
        text = spell_numbers(_GLUED.sub(" ", text))
    text = _TIDY.sub(" ", text)
    text = _EDGE.sub(" ", text)
    return " ".join(text.split())
