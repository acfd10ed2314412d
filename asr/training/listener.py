"""What a checkpoint's model says about an utterance, and how right it is by the best path alone: before there is any bundle."""

import jiwer
import numpy as np
import torch

from asr.config import Latency
from asr.decoding.emission import Emission
from asr.training.checkpoint import Checkpoint
from asr.training.evaluate import best_path
from asr.training.units import TrainingUnits


class Listener:
    """A checkpoint's model at one latency (None: full context)."""

    def __init__(self, checkpoint: Checkpoint, latency: Latency | None = None):
        self._model, self._latency = checkpoint.model(), latency
        self._units = TrainingUnits(checkpoint.piece_model)
        self.parameters = sum(parameter.numel() for parameter in self._model.parameters())

    @torch.inference_mode()
    def hear(self, samples: np.ndarray) -> tuple[Emission, str]:
        """samples (n,) float32 at 16 kHz -> what the beam takes, and the pieces' best path as text.

        The emission's pieces are all blank: a run's pieces may be others than those of the bundle whose beam it is for.
        """
        phones, pieces = self._model(self._model.log_mel(torch.from_numpy(samples)[None]), self._latency, torch.float32)
        emission = Emission(phones[:, 0].numpy(), np.zeros((len(phones), 1), np.float32))
        return emission, self._units.words_of(best_path(pieces[:, 0]))


def word_edits(text: str, heard: str) -> int:
    """Words that are wrong, missing or too many; `text` has a word at least."""
    counts = jiwer.process_words(text, heard)
    return counts.substitutions + counts.deletions + counts.insertions
