"""Choose decoding options on development speech: which changes to try, one after the other, and how a trial is counted.

Knows nothing of audio, models or processes: `measure(changes) -> Outcome` is given. Order: the weights of the search (at random, then
step by step around the best), thresholds of unknown words, the narrowest beam that costs next to nothing, the weights of rescoring where
the bundle has a word model, and last the curves of confidence, for which the words' evidence is kept, and how much of it is noise's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from asr.decoding.confidence import confidence, evidence_of, fit
from asr.decoding.emission import Emission
from asr.decoding.options import Calibration

PLAIN = {"confidence": {"slope": 1.0, "offset": 0.0}, "greedy_confidence": {"slope": 1.0, "offset": 0.0}, "least_confidence": 0.0}
UNKNOWN_OFF = {"unknown": {"confidence": 2.0}}
UNKNOWN = [{"unknown": {"gap": gap, "confidence": sure}} for gap in (0.25, 0.35, 0.5, 0.8, 1.2) for sure in (0.6, 0.75, 0.9)]
BEAM_SIZES = ((48, 8.0, 6.0), (100, 10.0, 8.0), (200, 12.0, 8.0), (400, 13.0, 9.0), (800, 14.0, 10.0), (1200, 15.0, 11.0))
BEAMS = [{"beam_size": size, "beam_threshold": threshold, "end_threshold": end} for size, threshold, end in BEAM_SIZES]
BEAM_COST = 0.1                      # points of WER that a narrower beam may cost
UNKNOWN_COST = 0.02                  # ... and that words of the second head may
WEIGHTS = {                          # weight: (lowest and highest random value, first step)
    "lm_weight": (0.5, 4.0, 0.5),
    "word_score": (-1.5, 2.5, 0.5),
    "prior_weight": (0.0, 0.6, 0.15),
    "blank_penalty": (-1.5, 1.5, 0.5),
}
BEGIN = {"lm_weight": 2.8, "word_score": 0.4, "prior_weight": 0.3, "blank_penalty": -0.5}
STEPS = {name: step for name, (_, _, step) in WEIGHTS.items()}
RESCORING_OFF = {"rescoring": {"hypotheses": 0}}
RESCORING = {"weight": 1.6, "ngram": 1.6, "word_score": -0.5}
RESCORING_STEPS = {"weight": 0.4, "ngram": 0.4, "word_score": 0.5}
HYPOTHESES = 50
NOISE_COST = 0.004                   # part of the right words that may be lost for fewer words in noise, which a word model makes fluent
MOST_NOISE = 0.59                    # speech that is understood badly is still speech
FINER = (1.0, 0.5, 0.25)             # parts of the first step


@dataclass(frozen=True)
class Outcome:
    """Counts of a trial, by set; they add up over parts of the speech."""

    edits: dict[str, int]
    words: dict[str, int]
    busy_s: float = 0.0              # processor time of the decoder
    evidence: tuple[float, ...] = ()                         # of each recognised word
    right: tuple[bool, ...] = ()
    lengths: tuple[int, ...] = ()                            # of the utterances, in recognised words

    @property
    def wer(self) -> float:
        """Mean over the sets of their word error rates, in percent: a small set counts as much as a large one."""
        return float(np.mean([100 * self.edits[name] / max(1, self.words[name]) for name in self.edits]))

    def __add__(self, other: "Outcome") -> "Outcome":
        def both(a: dict, b: dict) -> dict:
            return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}}

        return Outcome(both(self.edits, other.edits), both(self.words, other.words), self.busy_s + other.busy_s,
                       self.evidence + other.evidence, self.right + other.right, self.lengths + other.lengths)


@dataclass(frozen=True)
class Example:
    """An utterance of a development set: what the model said, and what was said."""

    set_name: str
    emission: Emission
    words: tuple[str, ...]           # normalised


def count(decoder, examples: Sequence[Example]) -> Outcome:
    """Decode `examples` and count. The decoder's confidences must be plain (PLAIN) for the evidence to be right."""
    import time

    import jiwer

    outcome = Outcome({}, {})
    for example in examples:
        started_s = time.process_time()
        heard = decoder.decode(example.emission).words
        busy_s = time.process_time() - started_s
        compared = jiwer.process_words(" ".join(example.words), " ".join(word.text for word in heard))
        right = np.zeros(len(heard), bool)
        for chunk in compared.alignments[0]:
            if chunk.type == "equal":
                right[chunk.hyp_start_idx : chunk.hyp_end_idx] = True
        evidence = tuple(evidence_of(word.confidence, Calibration(1.0, 0.0)) for word in heard)
        edits = compared.substitutions + compared.deletions + compared.insertions
        outcome += Outcome({example.set_name: edits}, {example.set_name: len(example.words)}, busy_s, evidence, tuple(right.tolist()),
                           (len(heard),))
    return outcome


@dataclass
class Tuning:
    """The search's course: `chosen` changes so far, and every trial."""

    measure: Callable[[dict], Outcome]
    chosen: dict
    trials: list[tuple[dict, Outcome]] = field(default_factory=list)
    report: Callable[[dict, Outcome], None] = lambda changes, outcome: None

    def attempt(self, changes: dict) -> Outcome:
        """Measure `chosen` with `changes` over it."""
        outcome = self.measure({**self.chosen, **changes, **PLAIN})
        self.trials.append((changes, outcome))
        self.report(changes, outcome)
        return outcome

    def best_of(self, candidates: Iterator[dict] | Sequence[dict]) -> tuple[dict, Outcome]:
        """The candidate with the lowest WER."""
        tried = [(changes, self.attempt(changes)) for changes in candidates]
        return min(tried, key=lambda trial: trial[1].wer)


def tune(measure: Callable[[dict], Outcome], greedy: Callable[[], Outcome], start: dict, num_random: int = 20, seed: int = 0,
         report: Callable[[dict, Outcome], None] = lambda changes, outcome: None, rescored: bool = False,
         search: bool = True) -> tuple[dict, Outcome]:
    """Find changes for bundle.json's `decoding`, and their outcome. `start` is where to begin, `greedy()` counts the greedy decoder.

    rescored: whether there is a word model to weigh. search: False leaves the search as `start` has it.
    """
    tuning = Tuning(measure, {**start, **RESCORING_OFF}, report=report)
    if search:
        tuning.chosen.update(_weights(tuning, num_random, np.random.default_rng(seed)))
        tuning.chosen.update(_unknown_words(tuning))
        tuning.chosen.update(_beam(tuning))
    if rescored:
        tuning.chosen.update(_rescoring(tuning))
    outcome = tuning.attempt({})
    tuning.chosen["confidence"] = _rounded(asdict(fit(outcome.evidence, outcome.right)), 3)
    tuning.chosen["least_confidence"] = _least_confidence(outcome, Calibration(**tuning.chosen["confidence"]))
    by_pieces = greedy()
    tuning.chosen["greedy_confidence"] = _rounded(asdict(fit(by_pieces.evidence, by_pieces.right)), 3)
    return tuning.chosen, outcome


def weigh(measure: Callable[[dict], Outcome], start: dict,
          report: Callable[[dict, Outcome], None] = lambda changes, outcome: None) -> tuple[dict, Outcome]:
    """The search's weights alone, from those of BEGIN on, for comparing models with one lexicon and n-gram -> changes, their outcome."""
    tuning = Tuning(measure, {**start, **RESCORING_OFF, **UNKNOWN_OFF}, report=report)
    return _climb(tuning, BEGIN, tuning.attempt(BEGIN), STEPS, lambda values: values)


def _weights(tuning: Tuning, num_random: int, random: np.random.Generator) -> dict:
    """The weights: random points, then from the best of them one weight after the other, in ever smaller steps."""
    guesses = [_rounded({name: random.uniform(low, high) for name, (low, high, _) in WEIGHTS.items()}, 2) for _ in range(num_random)]
    best, outcome = tuning.best_of([BEGIN, *guesses])
    return _climb(tuning, best, outcome, STEPS, lambda values: values)[0]


def _rescoring(tuning: Tuning) -> dict:
    """How the n-best list is rescored; not at all where that does not help."""
    without = tuning.attempt(RESCORING_OFF)

    def as_changes(values: dict) -> dict:
        return {"rescoring": {"hypotheses": HYPOTHESES, **values}}

    best, outcome = _climb(tuning, RESCORING, tuning.attempt(as_changes(RESCORING)), RESCORING_STEPS, as_changes)
    return best if outcome.wer < without.wer else RESCORING_OFF


def _climb(tuning: Tuning, best: dict, outcome: Outcome, steps: dict[str, float],
           as_changes: Callable[[dict], dict]) -> tuple[dict, Outcome]:
    """From values with their outcome one value after the other, in ever smaller steps -> the best values, as changes, and theirs."""
    tried = [best]
    for part in FINER:
        moved = True
        while moved:
            moved = False
            for name, step in steps.items():
                around = [_rounded({**best, name: best[name] + sign * part * step}, 2) for sign in (1, -1)]
                fresh = [values for values in around if values not in tried]
                tried += fresh
                for values in fresh:
                    found = tuning.attempt(as_changes(values))
                    if found.wer < outcome.wer:
                        best, outcome, moved = values, found, True
    return as_changes(best), outcome


def _unknown_words(tuning: Tuning) -> dict:
    """The thresholds with the lowest WER; the second head stays off where every one of them costs something."""
    without = tuning.attempt(UNKNOWN_OFF)
    best, outcome = tuning.best_of(UNKNOWN)
    return best if outcome.wer <= without.wer + UNKNOWN_COST else UNKNOWN_OFF


def _beam(tuning: Tuning) -> dict:
    """The narrowest beam that is nearly as good as the best one."""
    tried = [(changes, tuning.attempt(changes)) for changes in BEAMS]
    limit = min(outcome.wer for _, outcome in tried) + BEAM_COST
    return next(changes for changes, outcome in tried if outcome.wer <= limit)


def _least_confidence(outcome: Outcome, calibration: Calibration) -> float:
    """The mean confidence below which an utterance counts as noise: the highest at which hardly a right word of speech is lost."""
    ends = np.cumsum(outcome.lengths)[:-1]
    confidences = np.split(np.array([confidence(evidence, calibration) for evidence in outcome.evidence]), ends)
    right = [int(each.sum()) for each in np.split(np.array(outcome.right, int), ends)]
    lost, allowed = 0, NOISE_COST * sum(right)
    for mean, words in sorted((float(each.mean()), words) for each, words in zip(confidences, right, strict=True) if len(each)):
        lost += words
        if lost > allowed:
            return round(min(mean - 0.005, MOST_NOISE), 2)
    return MOST_NOISE


def _rounded(values: dict, digits: int) -> dict:
    return {name: round(float(value), digits) for name, value in values.items()}
