"""Recognise recordings: the Python API's Recognizer and Transcript (StreamingRecognizer, for sound as it comes, is in streaming.py)."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio import as_samples, open_audio
from asr.client.captions import Final
from asr.client.models import Models, load_models
from asr.client.segments import LONG, WHOLE_S, Segmenter
from asr.client.streaming import StreamingRecognizer
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from asr.errors import AudioError
from asr.resample import Resampler

__all__ = ["Recognizer", "StreamingRecognizer", "Transcript"]


@dataclass(frozen=True)
class Transcript:
    """What was said. `damage` is empty, or says in one line why the recording could not be read to its end."""

    words: tuple[Word, ...]
    damage: str = ""

    @property
    def text(self) -> str:
        """The words, with spaces."""
        return " ".join(word.text for word in self.words)


class Recognizer:
    """Recognises whole recordings, of any length at bounded memory. Loaded once; use it for any number of them.

    bundle: path of a bundle, None for the shipped one. decoder: 'beam' (lexicon and language model) or 'greedy' (quicker, worse).
    precision: 'int8', 'float', or 'auto' for the quicker one here. all_words: also those of what is likelier noise than speech.
    own_words: names and terms, each as in a line of `asr transcribe --own-words`. `models`: instead of all these, what is loaded already.
    Raises BundleError, and DataError for own words.
    """

    def __init__(self, bundle: str | os.PathLike | None = None, decoder: str = "beam", precision: str = "auto", threads: int = 1,
                 *, all_words: bool = False, own_words: Iterable[str] = (), models: Models | None = None):
        self.models = models or load_models(bundle, decoder, precision, threads, all_words, own_words)

    def transcribe(self, source: str | os.PathLike | np.ndarray, sample_rate: float | None = None) -> Transcript:
        """The transcript of a file, or of samples: (n,) or (n, channels), floating point in [-1, 1] or int16, at `sample_rate`
        (None: 16 kHz).

        Raises AudioError when there is nothing to recognise; a file damaged part way gives the words before, and `damage`.
        """
        if isinstance(source, str | os.PathLike):
            return self._transcribe_file(Path(source))
        return Transcript(_words(self.recognise([as_samples(source)], sample_rate or RATE_HZ)))

    def stream(self, chunk_ms: int = 320, sample_rate: float = RATE_HZ) -> StreamingRecognizer:
        """A stream of its own on the same models."""
        return StreamingRecognizer(chunk_ms=chunk_ms, sample_rate=sample_rate, models=self.models)

    def recognise(self, blocks: Iterable[np.ndarray], rate_hz: float) -> Iterator[Final]:
        """Finals, as they are found, of a recording that comes in blocks, (n,) float32 at `rate_hz`.

        An AudioError that `blocks` raises is raised again after the finals of what came before it.
        """
        resampler, damage = Resampler(rate_hz), None

        def resampled() -> Iterator[np.ndarray]:
            nonlocal damage
            try:
                for block in blocks:
                    yield resampler.feed(block)
            except AudioError as error:
                damage = error
            yield resampler.flush()

        yield from self._recognise(resampled())
        if damage:
            raise damage

    def _recognise(self, blocks: Iterator[np.ndarray]) -> Iterator[Final]:
        """Finals of blocks at 16 kHz."""
        from asr.client.acoustic import AcousticStream
        head = _until(blocks, round(WHOLE_S * RATE_HZ))
        following = next(blocks, None)
        if following is None:                                # all of it: full context
            yield from self._decode([(0.0, self.models.acoustic.whole(head))])
            return
        acoustic = AcousticStream(self.models.acoustic, LONG)
        segmenter = Segmenter(self.models.acoustic.bundle.phones.index("|"))
        while head is not None:
            for emission in acoustic.feed(head):
                yield from self._decode(segmenter.feed(emission))
            head, following = following, next(blocks, None)
        yield from self._decode(segmenter.feed(acoustic.flush()) + segmenter.flush())

    def _decode(self, stretches) -> Iterator[Final]:
        for start_s, emission in stretches:
            words = self.models.decoder.decode(emission, start_s).words
            if words:
                yield Final(words, words[0].start_s, words[-1].end_s, "pause")

    def _transcribe_file(self, path: Path) -> Transcript:
        words: list[Word] = []
        with open_audio(path) as audio:
            try:
                for final in self.recognise(audio, audio.rate_hz):
                    words += final.words
            except AudioError as error:
                if not words:
                    raise
                return Transcript(tuple(words), str(error))
        return Transcript(tuple(words))


def _words(finals: Iterable[Final]) -> tuple[Word, ...]:
    return tuple(word for final in finals for word in final.words)


def _until(blocks: Iterator[np.ndarray], num_samples: int) -> np.ndarray:
    """The first blocks, together, until they are longer than `num_samples` or there are no more."""
    taken, length = [np.zeros(0, np.float32)], 0
    for block in blocks:
        taken.append(block)
        length += len(block)
        if length > num_samples:
            break
    return np.concatenate(taken)
