"""This recogniser, through the Python API that its users call."""

import numpy as np

from asr.config import RATE_HZ

CHUNK_MS = 320


class Asr:
    """Whole files by Recognizer, streams by StreamingRecognizer with chunks of CHUNK_MS. Raises BundleError."""

    name, streams = "asr", True

    def __init__(self, bundle: str | None, precision: str, decoder: str):
        from asr.client.recognizer import Recognizer

        self._recognizer = Recognizer(bundle, decoder=decoder, precision=precision)
        self.precision, self.mode, self.stream_mode = precision, f"full {decoder}", f"{CHUNK_MS} {decoder}"

    def transcribe(self, samples: np.ndarray) -> str:
        """The text of samples (n,)."""
        return self._recognizer.transcribe(samples, RATE_HZ).text

    def captions(self):
        """A new stream that gives captions: feed(samples (n,)) and flush()."""
        return self._recognizer.stream(chunk_ms=CHUNK_MS)

    def start(self) -> "AsrStream":
        """A new stream."""
        return AsrStream(self._recognizer)


class AsrStream:
    """One utterance, fed."""

    def __init__(self, recognizer):
        self._stream = recognizer.stream(chunk_ms=CHUNK_MS)
        self._finals: list[str] = []

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples (n,)."""
        self._keep(self._stream.feed(samples))

    def finish(self) -> str:
        """The text of all that was fed."""
        self._keep(self._stream.flush())
        return " ".join(self._finals)

    def _keep(self, captions) -> None:
        from asr.client.captions import Final

        self._finals += [caption.text for caption in captions if isinstance(caption, Final)]
