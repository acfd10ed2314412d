"""The user's own words, names and terms: a list that joins the lexicon when a decoder is loaded, without training.

A list is a text with a word or phrase a line, as `Kubernetes` or `Szczecin = SH CH EH CH IH N`: behind the sign stand its phones,
ARPAbet without stress; several lines may give several pronunciations. `#` begins a comment. A word of the list is never less likely than
LEAST_SCORE, whatever the language model makes of it, also where the lexicon had it already.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asr.decoding.lexicon_trie import Pronunciations
from asr.errors import DataError
from asr.text import normalise

LEAST_SCORE = -3.5                   # log10 of the probability; see RESULTS.md
MOST = 10_000                        # words

Phones = tuple[str, ...]


@dataclass(frozen=True)
class OwnWord:
    """A word in normal form, and how it is said where the user tells."""

    text: str
    phones: Phones = ()


def read_list(path: Path) -> tuple[str, ...]:
    """The lines of a file that `parse_words` takes. Raises DataError with file and line."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"{path}: the list of words cannot be read ({reason}): give a text file with a word a line") from None
    parse_words(lines, str(path))
    return tuple(lines)


def parse_words(lines: Iterable[str], where: str = "own words") -> list[OwnWord]:
    """The words of a list's lines, phrases as their words, each with each pronunciation once. Raises DataError."""
    found: dict[OwnWord, None] = {}
    for number, line in enumerate(lines, start=1):
        text, sign, said = line.partition("#")[0].partition("=")
        if not text.strip() and not sign:
            continue
        words, phones = normalise(text).split(), tuple(re.sub("[0-2]", "", said.upper()).split())
        if not words:
            raise DataError(f"{where}:{number}: {line.strip()!r} has no word with the letters a-z: write it as it sounds in English")
        if sign and (len(words) > 1 or not phones):
            raise DataError(f"{where}:{number}: one word, =, its phones are expected, as in: Szczecin = SH CH EH CH IH N")
        found |= dict.fromkeys(OwnWord(word, phones) for word in words)
    if len(found) > MOST:
        raise DataError(f"{where}: {len(found):,} words; at most {MOST:,} can be told apart from the others: leave out what is common")
    return list(found)


def add_words(lexicon: Pronunciations, own: Sequence[OwnWord], units: tuple[str, ...],
              pronounce: Callable[[list[str]], list[list[Phones]]]) -> tuple[Pronunciations, np.ndarray]:
    """The lexicon with the words in it -> that, and the least score of every word (W,) float32, log10.

    `units` are those of the phones head. `pronounce` is asked for the likeliest pronunciations of all words without phones that the
    lexicon lacks. Raises DataError for a phone that there is not, and for a word that nobody can pronounce.
    """
    ids = {unit: number for number, unit in enumerate(units)}
    asked = [word.text for word in own if not word.phones and word.text not in lexicon]
    guesses = dict(zip(asked, pronounce(asked), strict=True)) if asked else {}
    texts, said = [], []
    for word in own:
        if word.text in guesses and not guesses[word.text]:
            raise DataError(f"own words: nothing is known of how {word.text!r} is said: write {word.text} = and its phones")
        for phones in [word.phones] if word.phones else guesses.get(word.text, []):
            if strange := [phone for phone in phones if phone not in ids]:
                raise DataError(f"own words: {word.text!r} has the phone {strange[0]!r}: ARPAbet is expected, {' '.join(units[1:7])} ...")
            texts.append(word.text.encode())
            said.append([ids[phone] for phone in phones])
    merged = _merged(lexicon, texts, said)
    least = np.full(len(merged.words), -np.inf, np.float32)
    least[np.searchsorted(merged.words, np.array([word.text.encode() for word in own]))] = LEAST_SCORE
    return merged, least


def _merged(lexicon: Pronunciations, texts: list[bytes], said: list[list[int]]) -> Pronunciations:
    """The lexicon with further pronunciations, words sorted as before."""
    if not texts:
        return lexicon
    words, place = np.unique(np.concatenate((lexicon.words, np.array(texts))), return_inverse=True)
    width = max(lexicon.phones.shape[1], *map(len, said))
    old = np.pad(lexicon.phones, ((0, 0), (0, width - lexicon.phones.shape[1])))
    new = np.array([phones + [0] * (width - len(phones)) for phones in said], np.uint8)
    return replace(
        lexicon,
        words=words,
        word_of=np.concatenate((place[:len(lexicon.words)][lexicon.word_of], place[len(lexicon.words):])).astype(np.int32),
        phones=np.concatenate((old, new)),
        lengths=np.concatenate((lexicon.lengths, [len(phones) for phones in said])).astype(np.int32),
    )
