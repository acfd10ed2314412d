"""Error rates: texts normalised as Whisper's authors do (case, punctuation, numbers, spellings), then counted by jiwer.

Errors are pooled over a set: all edits by all reference words (letters), so that long utterances weigh more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Score:
    """Error rates of a set, in percent, and how much it holds."""

    wer: float
    cer: float
    utterances: int
    words: int


def score(references: Sequence[str], hypotheses: Sequence[str]) -> Score:
    """Scores hypotheses against references, pair by pair. A reference of which the normaliser leaves nothing is not counted.

    Raises ModuleNotFoundError without jiwer and whisper-normalizer (extra `benchmark`), ValueError where no reference has a word.
    """
    import jiwer

    normalise = _normaliser()
    pairs = [(normalise(reference), normalise(hypothesis)) for reference, hypothesis in zip(references, hypotheses, strict=True)]
    pairs = [pair for pair in pairs if pair[0].strip()]
    if not pairs:
        raise ValueError("no words to score against")
    references, hypotheses = (list(texts) for texts in zip(*pairs, strict=True))
    words = jiwer.process_words(references, hypotheses)
    characters = jiwer.process_characters(references, hypotheses)
    return Score(100 * words.wer, 100 * characters.cer, len(pairs), words.hits + words.substitutions + words.deletions)


@cache
def _normaliser():
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()
