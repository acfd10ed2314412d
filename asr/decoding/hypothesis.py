"""What a decoder gives: words with times and confidences."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word. Times in seconds from the start of the recording, confidence in [0, 1]: the estimated chance that it is right."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Words in order, and the decoder's score for them (log scale, higher is better; comparable within one decoder only)."""

    words: tuple[Word, ...] = ()
    score: float = 0.0

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    def believed(self, least_confidence: float) -> "Hypothesis":
        """Itself, or no words at all where the mean of their confidences is below that: noise, then, rather than speech."""
        if sum(word.confidence for word in self.words) < least_confidence * len(self.words):
            return Hypothesis((), self.score)
        return self
