"""Moonshine tiny (27 million parameters, int8), whose weights and runtime come in the wheel of moonshine-voice 0.1.0."""

from functools import cached_property
from pathlib import Path

import numpy as np

from asr.config import RATE_HZ


class MoonshineTiny:
    """Moonshine tiny with the settings that suit it best.

    Whole utterances go through without its voice activity detector, which cuts them and costs it 3 points of WER on LibriSpeech;
    streams run as the package sets them up, with the detector and an update each half second.
    """

    name, precision, mode, stream_mode, streams = "moonshine-tiny", "int8", "full", "stream", True

    def __init__(self):
        from moonshine_voice.utils import get_assets_path

        self._folder = Path(get_assets_path()) / "tiny-en"
        self.model_files = [path for path in self._folder.iterdir() if path.is_file()]

    @cached_property
    def _whole(self):
        return self._load({"vad_threshold": "0.0"})

    @cached_property
    def _live(self):
        return self._load({})

    def _load(self, options: dict[str, str]):
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        return Transcriber(str(self._folder), ModelArch.TINY, options=options)

    def transcribe(self, samples: np.ndarray) -> str:
        """The text of samples (n,)."""
        return joined(self._whole.transcribe_without_streaming(samples.tolist(), RATE_HZ))

    def start(self) -> "MoonshineStream":
        """A new stream."""
        return MoonshineStream(self._live)


class MoonshineStream:
    """One utterance, fed."""

    def __init__(self, transcriber):
        self._stream = transcriber.create_stream()
        self._stream.start()

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples (n,)."""
        self._stream.add_audio(samples.tolist(), RATE_HZ)

    def finish(self) -> str:
        """The text of all that was fed."""
        text = joined(self._stream.stop())
        self._stream.close()
        return text


def joined(transcript) -> str:
    """The lines of a transcript as one text."""
    return " ".join(line.text for line in transcript.lines) if transcript else ""
