"""A bundle's lexicon as a tree, remembered: read in a twentieth of the second that making it takes, so that captions start sooner.

What is kept lies in the user's cache folder, under the stamps of the files that it was made of (cache.py), which the bundle has checked.
Whatever is wrong with it, or with the folder, it is made anew.
"""

import contextlib
import hashlib
import os
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.cache import cache_folder, stamp_of
from asr.decoding.language_model import LanguageModel
from asr.decoding.lexicon_trie import Pronunciations, Trie, build_trie, read_pronunciations
from asr.units import WORD_END

if TYPE_CHECKING:
    from asr.bundle import Bundle

FORMAT = 1                           # raised when what is kept is made in another way
KEPT = 3                             # of so many bundles, about 20 MB each

Prepared = tuple[Pronunciations, np.ndarray, Trie]           # and between them the unigram scores (W,)


def prepare(bundle: "Bundle") -> tuple[LanguageModel, Pronunciations, np.ndarray, Trie]:
    """What the beam decodes with: n-gram, lexicon, the unigram scores (W,) of its words, and its tree. Raises BundleError."""
    made_of = [bundle.path("lexicon.txt.gz"), bundle.path("language.binary")]
    path = _place(made_of, bundle.phones)
    if held := _read(path):
        lexicon, unigrams, trie = held
        return LanguageModel(made_of[1], lexicon.words), lexicon, unigrams, trie
    language, lexicon, unigrams, trie = build(bundle, read_pronunciations(made_of[0], bundle.phones))
    with contextlib.suppress(OSError):                       # a full disk: it is made anew the next time
        _write(path, (lexicon, unigrams, trie))
    return language, lexicon, unigrams, trie


def build(bundle: "Bundle", lexicon: Pronunciations,
          least: np.ndarray | None = None) -> tuple[LanguageModel, Pronunciations, np.ndarray, Trie]:
    """As `prepare`, of this lexicon, and nothing is remembered; `least` (W,) as LanguageModel has it."""
    language = LanguageModel(bundle.path("language.binary"), lexicon.words, least)
    unigrams = language.unigrams()
    return language, lexicon, unigrams, build_trie(lexicon, unigrams, word_end=bundle.phones.index(WORD_END))


def _place(made_of: list[Path], phones: tuple[str, ...]) -> Path:
    key = "\n".join([str(FORMAT), *map(stamp_of, made_of), *phones])
    return cache_folder() / "decoders" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def _read(path: Path) -> Prepared | None:
    try:
        with open(path, "rb") as file, np.load(file) as held:
            lexicon, trie = (kind(**{field.name: held[f"{kind.__name__}.{field.name}"] for field in fields(kind)})
                             for kind in (Pronunciations, Trie))
            unigrams = held["unigrams"]
        os.utime(path)                                       # of several, the one that was used least is forgotten
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return lexicon, unigrams, trie


def _write(path: Path, prepared: Prepared) -> None:
    lexicon, unigrams, trie = prepared
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{type(part).__name__}.{name}": array for part in (lexicon, trie) for name, array in vars(part).items()}
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, unigrams=unigrams, **arrays)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    by_use = sorted(path.parent.glob("*.npz"), key=lambda other: other.stat().st_mtime, reverse=True)
    for other in by_use[KEPT:]:
        other.unlink(missing_ok=True)
