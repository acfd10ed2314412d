"""The n-gram: KenLM through flashlight's wrapper, with contexts as small numbers. Scores are log10 probabilities, as KenLM has them.

Two hypotheses whose last words are the same are the same to an n-gram, so a context here is the last order - 1 words. (flashlight's own
beam compares contexts by address, so it keeps such twins apart and they crowd the beam.)
"""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from asr.errors import BundleError

_BINARY_MAGIC = b"mmap lm http://kheafield.com/code"
_ORDER_AT = 88                       # bytes before the order in a KenLM binary: its magic, padded to 56, and 32 of test values
_BATCH = 4096                        # words scored before their KenLM states are let go


class LanguageModel:
    """A KenLM file (binary, or ARPA) and the words that it is asked about. Never changes; contexts belong to a stream."""

    def __init__(self, path: Path, words: np.ndarray, least: np.ndarray | None = None):
        """`words` (W,) bytes: their index is their id; `least` (W,) their least score anywhere (None: there is none).

        Raises BundleError for a file that KenLM cannot use.
        """
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        self.order = read_order(path)
        self.num_words, self.least = len(words), least
        try:
            self.model = KenLM(str(path), Dictionary([word.decode() for word in words.tolist()]))
        except (RuntimeError, ValueError) as error:
            first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BundleError(f"{path}: KenLM cannot use the language model ({first_line}): install the bundle again") from error

    def unigrams(self) -> np.ndarray:
        """Score of every word without context -> (W,) float32."""
        scores = np.empty(self.num_words, np.float32)
        score = self.model.score
        for start in range(0, self.num_words, _BATCH):
            nothing = self.model.start(True)                 # a state keeps those of all words asked of it
            batch = range(start, min(start + _BATCH, self.num_words))
            scores[start : batch.stop] = [score(nothing, word)[1] for word in batch]
        return scores if self.least is None else np.maximum(scores, self.least)

    def contexts(self) -> "Contexts":
        """A fresh set of contexts, for one stream."""
        return Contexts(self)


class Contexts:
    """The contexts that one stream has met, by number; 0 is the start of a sentence."""

    def __init__(self, language: LanguageModel):
        self._model, self._least = language.model, language.least
        self._kept_words = language.order - 1
        self._words: list[tuple[int, ...]] = [()]
        self._states = [self._model.start(False)]
        self._known: list[dict[int, float]] = [{}]           # of each context: word -> score
        self._by_words = {(-1,): 0}

    def __len__(self) -> int:
        return len(self._states)

    def scores(self, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
        """log10 P(word | context) of each pair (K,) -> (K,) float64."""
        ask, scores = self._model.score, []
        for context, word in zip(contexts.tolist(), words.tolist(), strict=True):
            known = self._known[context]
            score = known.get(word)
            if score is None:
                score = known[word] = ask(self._states[context], word)[1]
            scores.append(score)
        return np.array(scores, np.float64) if self._least is None else np.maximum(scores, self._least[words])

    def score(self, context: int, word: int) -> float:
        """log10 P(word | context)."""
        return float(self.scores(np.array([context]), np.array([word]))[0])

    def after(self, context: int, word: int) -> int:
        """The context that `word` leads to from `context`. Made only here: most words that are scored lead nowhere."""
        words = (*self._words[context], word)[-self._kept_words :] if self._kept_words else ()
        after = self._by_words.setdefault(words, len(self._states))
        if after == len(self._states):
            self._states.append(self._model.score(self._states[context], word)[0])
            self._words.append(words)
            self._known.append({})
        return after

    def end_score(self, context: int) -> float:
        """log10 P(end of sentence | context)."""
        return self._model.finish(self._states[context])[1]

    def sentence_score(self, words: Iterable[int]) -> float:
        """log10 P of a whole sentence."""
        context = total = 0
        for word in words:
            total += self.score(context, word)
            context = self.after(context, word)
        return total + self.end_score(context)

    def keep_only(self, contexts: np.ndarray) -> np.ndarray:
        """Forget all but `contexts` (distinct numbers); they become 0, 1, ... Returns for each old number the new one, or -1."""
        renumbered = np.full(len(self._states), -1, np.int64)
        renumbered[contexts] = np.arange(len(contexts))
        self._words = [self._words[i] for i in contexts]
        self._states = [self._states[i] for i in contexts]
        self._known = [{} for _ in contexts]
        self._by_words = {words or (-1,): i for i, words in enumerate(self._words)}
        return renumbered


def read_order(path: Path) -> int:
    """Length of the longest n-grams in a KenLM binary or an ARPA file. Raises BundleError."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise BundleError(f"{path}: the language model cannot be read ({error.strerror}): install the bundle again") from error
    if head.startswith(_BINARY_MAGIC) and len(head) > _ORDER_AT:
        order = struct.unpack_from("<B", head, _ORDER_AT)[0]
    else:
        order = head.count(b"\nngram ")
    if not 1 <= order <= 6:
        raise BundleError(f"{path} is no KenLM language model: install the bundle again")
    return order
