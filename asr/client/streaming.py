"""Recognise sound as it comes: partial captions with every chunk, and a final at the end of each utterance.

An utterance is a stretch of sound with streams of its own (acoustic model, decoder, endpoint), all fresh at its start, as in
training. When an endpoint rule ends it, its sound goes through the model once more with full context, and that pass's words are
final. That pass is made as soon as it has all the sound that it would hear, while the pause still lasts: if nothing more is said, its
words are there when the endpoint comes. The next utterance begins within the pause, a little before the end of the last one, so that no
first word is lost.
"""

import math
import os
from collections.abc import Iterable

import numpy as np

from asr.audio import as_samples
from asr.client.acoustic import AcousticStream
from asr.client.captions import Commitment, Final, Partial
from asr.client.models import Models, load_models
from asr.client.stillness import Stillness
from asr.config import FRAME_SAMPLES, RATE_HZ, Latency, block_samples
from asr.decoding.endpoint import EndpointRules
from asr.decoding.hypothesis import Word
from asr.resample import Resampler

LEAD_S = 0.32                        # silence that the next utterance begins with
MARGIN_S = 0.52                      # sound before the first word and after the last that the final pass hears


class StreamingRecognizer:
    """Feed samples of any number, get captions; flush() gives the rest, after which it can be fed again.

    bundle, decoder, precision, threads, all_words, own_words: as for Recognizer, or `models` that are loaded already. chunk_ms: 160, 320,
    640 or 1280; shorter shows words sooner, longer is more often right. sample_rate: of what is fed. rules: what ends an utterance.
    Feeding in any sizes gives the captions of feeding at once. Times count from the first sample ever fed.
    """

    def __init__(self, bundle: str | os.PathLike | None = None, chunk_ms: int = 320, decoder: str = "beam", sample_rate: float = RATE_HZ,
                 *, precision: str = "auto", threads: int = 1, all_words: bool = False, own_words: Iterable[str] = (),
                 models: Models | None = None, rules: EndpointRules | None = None):
        self._models = models or load_models(bundle, decoder, precision, threads, all_words, own_words)
        self._rules = rules or EndpointRules()
        self._rate_hz = sample_rate
        self._resampler = Resampler(sample_rate)
        self._stillness = Stillness()
        self._held = np.empty(0, np.float32)                 # sound where all is still, which the next utterance begins with
        self.chunk_ms = chunk_ms
        self._utterance = self._begin(0)

    @property
    def chunk_ms(self) -> int:
        """Length of the chunks in which the next utterance will be heard: 160, 320, 640 or 1280, and to be changed at any time."""
        return self._chunk_ms

    @chunk_ms.setter
    def chunk_ms(self, chunk_ms: int):
        self._chunk_ms, self._latency = chunk_ms, Latency.of_ms(chunk_ms)
        self._chunk = self._latency.chunk * FRAME_SAMPLES
        self._enough = self._chunk + _whole_frames(MARGIN_S) # of what is held, to tell

    @property
    def until_ready(self) -> int:
        """Samples without which nothing new will come of a feed."""
        held = self._enough - len(self._held) if self._holds else self._utterance.until_ready
        return math.ceil(max(0, held) * self._rate_hz / RATE_HZ)

    def feed(self, samples: np.ndarray) -> list[Partial | Final]:
        """samples (n,) or (n, channels), floating point in [-1, 1] or int16 -> what changed. Raises AudioError for anything else."""
        return self._accept(self._resampler.feed(as_samples(samples)))

    def flush(self) -> list[Partial | Final]:
        """The captions of all that was fed and is not final yet. What is fed afterwards is a new utterance, its times go on."""
        captions = self._accept(self._resampler.flush())
        self._stillness.forget()
        captions += self._accept(np.empty(0, np.float32))    # what was held
        self._resampler = Resampler(self._rate_hz)
        utterance = self._utterance
        utterance.finish()
        self._utterance = self._begin(utterance.end)
        return captions + self._final(utterance, utterance.end, "end")

    def skip(self, num_samples: int, sample_rate: float | None = None) -> list[Partial | Final]:
        """Flush, and count `num_samples` that were lost before what is fed next, so that times stay right.

        What is fed next is at `sample_rate` (None: as before).
        """
        captions = self.flush()
        self._utterance = self._begin(self._utterance.start + round(num_samples * RATE_HZ / self._rate_hz))
        self._rate_hz = sample_rate or self._rate_hz
        self._resampler = Resampler(self._rate_hz)
        return captions

    def _begin(self, start: int) -> "_Utterance":
        return _Utterance(self._models, self._latency, self._rules, start)

    def _accept(self, samples: np.ndarray) -> list[Partial | Final]:
        """samples (n,) float32 at 16 kHz -> captions. They are cut where a block becomes ready, so that any sizes give the same.

        Where all is still an utterance does not begin: sound is held, and what is older than the next utterance needs is passed over.
        """
        captions: list[Partial | Final] = []
        samples = self._with_held(samples)
        while len(samples):
            if self._holds:
                if len(samples) < self._enough:
                    self._held = samples
                    break
                if self._stillness.lasts(samples[:self._enough], new=self._chunk):
                    self._utterance, samples = self._begin(self._utterance.start + self._chunk), samples[self._chunk:]
                    continue
            count = self._utterance.until_ready
            if self._utterance.feed(samples[:count]):
                captions += self._after_chunk()
            samples = self._with_held(samples[count:])
        return captions

    @property
    def _holds(self) -> bool:
        """Whether the next utterance does not begin as long as all is still."""
        return self._stillness.known and self._utterance.is_new

    def _with_held(self, samples: np.ndarray) -> np.ndarray:
        """What was held back comes before `samples`."""
        if len(self._held):
            self._held, samples = self._held[:0], np.concatenate((self._held, samples))
        return samples

    def _after_chunk(self) -> list[Partial | Final]:
        utterance = self._utterance
        captions: list[Partial | Final] = [utterance.partial] if utterance.changed else []
        if utterance.ended_by == "without_text" and utterance.is_silent:
            self._stillness.learn(utterance.sound(utterance.start, utterance.decided))
        if utterance.ended_by == "longest":
            captions += self._cut_at_gap()
        elif utterance.ended_by:
            captions += self._final(utterance, utterance.decided, utterance.ended_by) + self._begin_in_pause()
        elif utterance.pauses:
            self._foresee(utterance)
        return captions

    def _foresee(self, utterance: "_Utterance"):
        """Make the final pass of an utterance that may be over, once for each pause."""
        heard = utterance.words_if_over()
        if heard:
            first, last = self._span(utterance, heard)
            if last <= utterance.decided and (first, last) != utterance.foreseen[:2]:
                utterance.foreseen = first, last, self._decoded(utterance, first, last)

    def _begin_in_pause(self) -> list[Partial | Final]:
        """Begin the next utterance a little before the end of this one's last chunk."""
        utterance = self._utterance
        return self._go_on_from(max(utterance.start + FRAME_SAMPLES, utterance.decided - _whole_frames(LEAD_S)))      # never in place

    def _cut_at_gap(self) -> list[Partial | Final]:
        """The utterance is as long as may be: end it in the widest gap between two words of its second half, and begin the next there."""
        utterance = self._utterance
        words = self._decoded(utterance, utterance.start, utterance.decided)
        half_s = (utterance.start + utterance.decided) / 2 / RATE_HZ
        late = [index for index in range(1, len(words)) if words[index].start_s >= half_s]
        if not late:                                         # no words there
            return self._as_final(words, utterance.partial.words, "longest") + self._begin_in_pause()
        cut = max(late, key=lambda index: (words[index].start_s - words[index - 1].end_s, index))
        middle_s = (words[cut - 1].end_s + words[cut].start_s) / 2
        start = utterance.start + _whole_frames(middle_s - utterance.start / RATE_HZ)
        return [Final(words[:cut], words[0].start_s, words[cut - 1].end_s, "longest"), *self._go_on_from(start)]

    def _go_on_from(self, start: int) -> list[Partial | Final]:
        """Begin a new utterance at sample `start`, with the sound that was kept from there on."""
        kept = self._utterance.sound(start, self._utterance.end)
        self._utterance = self._begin(start)
        return self._accept(kept)

    def _final(self, utterance: "_Utterance", end: int, reason: str) -> list[Partial | Final]:
        """The final of an utterance in which a word was heard, from its full-context pass."""
        heard = utterance.heard or utterance.partial.words
        if not heard:
            return []
        first, last = self._span(utterance, heard)
        last = min(end, last)
        foreseen = utterance.foreseen if (first, last) == utterance.foreseen[:2] else (first, last, self._decoded(utterance, first, last))
        return self._as_final(foreseen[2], utterance.partial.words, reason)

    @staticmethod
    def _span(utterance: "_Utterance", heard: tuple[Word, ...]) -> tuple[int, int]:
        """Samples [first, last) that the final pass hears where these words were heard."""
        start_s = utterance.start / RATE_HZ
        first = utterance.start + max(0, _whole_frames(heard[0].start_s - MARGIN_S - start_s))
        return first, utterance.start + _whole_frames(heard[-1].end_s + MARGIN_S - start_s)

    @staticmethod
    def _as_final(words: tuple[Word, ...], seen: tuple[Word, ...], reason: str) -> list[Partial | Final]:
        """A final of `words`; an empty one takes back the words that were `seen` as a partial."""
        span = words or seen
        return [Final(words, span[0].start_s, span[-1].end_s, reason)] if span else []

    def _decoded(self, utterance: "_Utterance", first: int, last: int) -> tuple[Word, ...]:
        """Words of the kept samples [first, last), with full context."""
        emission = self._models.acoustic.whole(utterance.sound(first, last))
        return self._models.decoder.decode(emission, first / RATE_HZ, utterance.partial.words).words


def _whole_frames(seconds: float) -> int:
    """Samples of `seconds`, rounded to whole frames: frames then lie where they lie, whichever pass makes them."""
    return round(seconds * RATE_HZ / FRAME_SAMPLES) * FRAME_SAMPLES


class _Utterance:
    """What belongs to one utterance: its sound from sample `start` on, and the streams that go through it."""

    def __init__(self, models: Models, latency: Latency, rules: EndpointRules, start: int):
        self.start = self.end = self.decided = start         # samples: the sound is [start, end), chunks were decoded up to `decided`
        self.partial = Partial((), 0)
        self.heard: tuple[Word, ...] = ()                    # at its end: all words, also those that no partial was sure enough of
        self.changed = False                                 # by the last chunk
        self.ended_by: str | None = None                     # the endpoint rule that fired
        self.foreseen: tuple[int, int, tuple[Word, ...]] = (0, 0, ())        # samples [first, last) of a final pass, and its words
        self._chunk = latency.chunk * FRAME_SAMPLES
        self._block = block_samples(latency.block)
        self._pieces: list[np.ndarray] = []
        self._acoustic = AcousticStream(models.acoustic, latency)
        self._decoder = models.decoder.start(start / RATE_HZ)
        self._commitment = Commitment()
        self._endpoint = rules.start()

    @property
    def is_new(self) -> bool:
        """Whether it has no sound yet."""
        return self.start == self.end

    @property
    def is_silent(self) -> bool:
        """Whether not one phone was heard."""
        return self._endpoint.is_silent

    @property
    def until_ready(self) -> int:
        """Samples that the next block still lacks."""
        return self.decided + self._block - self.end

    @property
    def pauses(self) -> bool:
        """Whether something was said and it has been silent long enough for a final pass."""
        return self._endpoint.has_text and self._endpoint.silence_s >= MARGIN_S

    def words_if_over(self) -> tuple[Word, ...]:
        """All words, should no more be said."""
        return self._decoder.finish().words

    def feed(self, samples: np.ndarray) -> bool:
        """At most `until_ready` samples; whether they completed a chunk."""
        self._pieces.append(samples)
        self.end += len(samples)
        emissions = self._acoustic.feed(samples)
        for emission in emissions:
            self.decided += self._chunk
            self._decoder.step(emission)
            self._show(self._decoder.best().words)
            self.ended_by = self._endpoint.step(emission)
        if self.ended_by and self.ended_by != "longest":
            self.heard = self.words_if_over()
        return bool(emissions)

    def finish(self):
        """There is no more sound: decode what no chunk has covered."""
        emission = self._acoustic.flush()
        if len(emission):
            self._decoder.step(emission)
        self.heard = self.words_if_over()
        self._show(self.heard)

    def sound(self, first: int, last: int) -> np.ndarray:
        """Samples [first, last) of the recording, as far as they belong to this utterance."""
        self._pieces = [np.concatenate([np.zeros(0, np.float32), *self._pieces])]
        return self._pieces[0][max(0, first - self.start):max(0, last - self.start)]

    def _show(self, words: tuple[Word, ...]):
        partial = self._commitment.update(words)
        self.changed = (partial.text, partial.committed) != (self.partial.text, self.partial.committed)
        self.partial = partial
