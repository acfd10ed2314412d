"""Settings of the decoders. A bundle's `decoding` entry holds those that `asr tune` chose for it; the others are as here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from asr.errors import BundleError


@dataclass(frozen=True)
class Calibration:
    """Confidence = logistic(offset + slope * evidence), where evidence is a mean log-odds of a word's units (see confidence.py)."""

    slope: float = 0.7
    offset: float = 0.0


@dataclass(frozen=True)
class UnknownWords:
    """When a word of the pieces head takes the place of lexicon words (see unknown.py)."""

    gap: float = 0.5                 # nats a frame by which the lexicon words explain the phones worse than the best free phones
    confidence: float = 0.75         # least geometric mean of the probabilities of the word's pieces; above 1 = never replace
    likeness: float = 0.8            # a spelling this like that of the lexicon words (2 x common letters / all) is a mistake in theirs


@dataclass(frozen=True)
class Rescoring:
    """How the best of the n-best list is chosen (see rescoring.py): to a hypothesis' score comes weight * log10 P(words) by the word model,
    and its n-gram counts with `ngram` in place of lm_weight.
    """

    hypotheses: int = 0              # in the list; 0: the search's own best one stays
    weight: float = 0.0
    ngram: float = 0.0
    word_score: float = 0.0          # more a word
    shown: float = 0.8               # more for each word that partials have shown, at its time: text that stays is easier to read


@dataclass(frozen=True)
class DecodingOptions:
    """Weights as in flashlight and torchaudio: score = log P(phones) + lm_weight * log10 P(words) + word_score * number of words.

    P(phones) is a posterior; the search wants a likelihood, so part of the units' prior is divided out (EESEN: Miao et al.,
    arXiv 1507.08240, section 3.3), and the blank, which a CTC model gives more than its share of doubtful frames, pays besides.
    """

    lm_weight: float = 2.0
    word_score: float = 0.0
    prior_weight: float = 0.0        # times phone_prior, subtracted from the log-probabilities
    blank_penalty: float = 0.0       # nats, subtracted from the blank's
    phone_prior: tuple[float, ...] = ()      # log of each unit's mean probability, as `asr tune` measured it
    beam_size: int = 800             # states kept after each frame
    beam_threshold: float = 14.0     # states this far below the best are dropped
    end_threshold: float = 10.0      # a word's end is already that far below: ends cost most, each asks the language model
    log_add: bool = True             # sum over alignments instead of the best one
    blank_threshold: float = 0.98    # frames whose blank is likelier than this skip the beam
    partial_share: float = 0.92      # part of the beam's probability that must agree on a word before it is shown in a partial
    least_confidence: float = 0.0    # mean of an utterance's words below which it is taken for noise, and has none
    confidence: Calibration = field(default_factory=Calibration)
    greedy_confidence: Calibration = field(default_factory=Calibration)
    unknown: UnknownWords = field(default_factory=UnknownWords)
    rescoring: Rescoring = field(default_factory=Rescoring)

    def with_changes(self, changes: Mapping) -> "DecodingOptions":
        """These options with `changes` (as in bundle.json: nested entries are dicts) put over them. Raises BundleError."""
        known = {f.name: f.default_factory if callable(f.default_factory) else None for f in fields(self)}
        values = {}
        for name, value in changes.items():
            if name not in known:
                raise BundleError(f"unknown decoding option {name!r}: one of {', '.join(known)} is expected")
            try:
                if known[name]:                                          # a nested dataclass
                    values[name] = value if isinstance(value, known[name]) else replace(getattr(self, name), **value)
                else:
                    values[name] = type(getattr(self, name))(value)
            except (TypeError, ValueError) as error:
                raise BundleError(f"decoding option {name}: {value!r} does not fit ({error})") from error
        return replace(self, **values)
