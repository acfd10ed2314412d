"""PocketSphinx with the US English model of its wheel: a GMM-HMM recogniser with a trigram model, one thread."""

from pathlib import Path

import numpy as np


class PocketSphinx:
    """PocketSphinx 5 with its own settings. Its Gaussians come as 8-bit sums, as the wheel has them."""

    name, precision, mode, stream_mode, streams = "pocketsphinx", "shipped", "full", "stream", True

    def __init__(self):
        from pocketsphinx import Decoder, get_model_path

        self._decoder = Decoder(loglevel="FATAL")
        folder = Path(get_model_path()) / "en-us"
        self.model_files = [path for path in folder.rglob("*") if path.is_file() and path.name != "en-us-phone.lm.bin"]

    def transcribe(self, samples: np.ndarray) -> str:
        """The text of samples (n,)."""
        self._decoder.start_utt()
        self._decoder.process_raw(to_pcm16(samples), full_utt=True)
        self._decoder.end_utt()
        return best_text(self._decoder)

    def start(self) -> "PocketSphinxStream":
        """A new stream."""
        return PocketSphinxStream(self._decoder)


class PocketSphinxStream:
    """One utterance, fed; the partial hypothesis is asked for after each block, as a captioner would."""

    def __init__(self, decoder):
        self._decoder = decoder
        decoder.start_utt()

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples (n,)."""
        self._decoder.process_raw(to_pcm16(samples))
        self._decoder.hyp()

    def finish(self) -> str:
        """The text of all that was fed."""
        self._decoder.end_utt()
        return best_text(self._decoder)


def to_pcm16(samples: np.ndarray) -> bytes:
    """float32 in [-1, 1] -> 16-bit little-endian samples."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def best_text(decoder) -> str:
    """The hypothesis, empty where there is none."""
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""
