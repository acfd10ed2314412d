"""Words that the lexicon lacks: where its words explain the phones badly and the pieces head is sure of another spelling, that one wins.

The lexicon beam must put some words of its own in the place of a name it does not know, often several short ones. Two signs give them
away: free phones would score much better there (`gap`), and the second head, which knows letters and no lexicon, spells a word that is
not in the lexicon and is sure of it. Both are asked for, and a spelling unlike theirs, so that a mere misspelling does not undo a right
word.
"""

from collections.abc import Container
from dataclasses import dataclass
from difflib import SequenceMatcher

from asr.decoding.alignment import AlignedWord
from asr.decoding.confidence import confidence
from asr.decoding.greedy import SpelledWord
from asr.decoding.options import DecodingOptions

REACH_FRAMES = 10                    # the heads' peaks for one word lie at most this far apart: 0.4 s
_SHORTEST = 3                        # letters; shorter ones are mostly noise


@dataclass(frozen=True, slots=True)
class Chosen:
    """A word to show, and how many of the lexicon's words it stands for."""

    text: str
    first_frame: int
    end_frame: int
    confidence: float
    replaces: int = 1


def choose(words: list[AlignedWord], spelled: list[SpelledWord], lexicon: Container[str], options: DecodingOptions) -> list[Chosen]:
    """The lexicon's `words`, some of them replaced by words of the pieces head. `spelled` covers the same time, in order."""
    taken: dict[int, tuple[int, int]] = {}                   # first lexicon word -> spelled word, number of lexicon words
    unknown = [k for k, word in enumerate(spelled) if _is_sure(word, options) and word.text not in lexicon]
    for k in unknown:
        start, end = _region(spelled, k)
        inside = [i for i, word in enumerate(words) if start <= (word.first_frame + word.end_frame) / 2 <= end]
        if inside and _is_better(spelled[k].text, [words[i] for i in inside], options):
            taken[inside[0]] = k, len(inside)
    chosen, i = [], 0
    while i < len(words):
        word = words[i]
        if i in taken:
            k, count = taken[i]
            sure = confidence(spelled[k].evidence, options.greedy_confidence)
            chosen.append(Chosen(spelled[k].text, word.first_frame, words[i + count - 1].end_frame, sure, count))
            i += count
        else:
            chosen.append(Chosen(word.text, word.first_frame, word.end_frame, confidence(word.evidence, options.confidence)))
            i += 1
    return chosen


def _is_sure(word: SpelledWord, options: DecodingOptions) -> bool:
    return len(word.text) >= _SHORTEST and word.probability >= options.unknown.confidence


def _region(spelled: list[SpelledWord], k: int) -> tuple[float, float]:
    """The time that belongs to word k: half the way to its neighbours, but no further than the heads lie apart."""
    word = spelled[k]
    start, end = word.first_frame - REACH_FRAMES, word.end_frame + REACH_FRAMES
    if k > 0:
        start = max(start, (spelled[k - 1].end_frame + word.first_frame) / 2)
    if k + 1 < len(spelled):
        end = min(end, (word.end_frame + spelled[k + 1].first_frame) / 2)
    return start, end


def _is_better(text: str, words: list[AlignedWord], options: DecodingOptions) -> bool:
    """Whether `words` fit the phones badly and `text` is more than a misspelling of them."""
    if _mean_gap(words) < options.unknown.gap:
        return False
    return SequenceMatcher(None, text, "".join(word.text for word in words), autojunk=False).ratio() < options.unknown.likeness


def _mean_gap(words: list[AlignedWord]) -> float:
    """Gap a frame over several words."""
    frames = [word.end_frame - word.first_frame for word in words]
    return sum(word.gap * n for word, n in zip(words, frames, strict=True)) / sum(frames)
