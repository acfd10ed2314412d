"""When an utterance is over: rules in seconds, each with a name, judged from blanks, text and length."""

from dataclasses import dataclass

import numpy as np

from asr.config import FRAME_S
from asr.decoding.emission import Emission
from asr.units import BLANK_ID

FEWEST_SPOKEN_FRAMES = 3             # phones likelier than the blank; a click makes one or two


@dataclass(frozen=True)
class EndpointRules:
    """An utterance ends when one of these is met; the first three count the silence up to now.

    The names are those that `Endpoint.step` answers with. 0.8 s is longer than nearly all pauses within a sentence read aloud; after
    12 s a shorter pause will do, so that the cut at 20 s seldom falls into a word.
    """

    after_text_s: float = 0.8        # silence after words
    without_text_s: float = 2.4      # silence where no word came
    after_long_text_s: float = 0.4   # silence after words, in an utterance longer than
    long_text_s: float = 12.0        # ... this
    longest_s: float = 20.0          # the whole utterance

    def start(self) -> "Endpoint":
        """Watch a new utterance."""
        return Endpoint(self)


class Endpoint:
    """Watches one utterance; make a new one for the next."""

    def __init__(self, rules: EndpointRules):
        self._rules = rules
        self._frames = 0
        self._spoken_frames = 0
        self._silent_frames = 0

    @property
    def silence_s(self) -> float:
        """How long nothing has been said."""
        return self._silent_frames * FRAME_S

    @property
    def length_s(self) -> float:
        """How long the utterance is."""
        return self._frames * FRAME_S

    @property
    def has_text(self) -> bool:
        """Whether enough phones came for a word."""
        return self._spoken_frames >= FEWEST_SPOKEN_FRAMES

    @property
    def is_silent(self) -> bool:
        """Whether not one phone came."""
        return not self._spoken_frames

    def step(self, emission: Emission) -> str | None:
        """Take in further frames -> the name of the rule that ends the utterance, or None."""
        units = emission.phones.argmax(1)
        spoken = np.flatnonzero((units != BLANK_ID) & (units != emission.phones.shape[1] - 1))       # the last unit is the word end
        self._silent_frames = len(units) - 1 - int(spoken[-1]) if len(spoken) else self._silent_frames + len(units)
        self._spoken_frames += len(spoken)
        self._frames += len(units)
        rules, has_text = self._rules, self.has_text
        if has_text and self.silence_s >= rules.after_text_s:
            return "after_text"
        if not has_text and self.silence_s >= rules.without_text_s:
            return "without_text"
        if has_text and self.length_s >= rules.long_text_s and self.silence_s >= rules.after_long_text_s:
            return "after_long_text"
        if self.length_s >= rules.longest_s:
            return "longest"
        return None
