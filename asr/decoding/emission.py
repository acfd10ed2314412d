"""What the acoustic model says about a stretch of audio: log-probabilities of both heads, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Emission:
    """T frames of FRAME_S seconds each. Natural log-probabilities; unit 0 of either head is the blank."""

    phones: np.ndarray               # (T, P) float32
    pieces: np.ndarray               # (T, V) float32

    def __post_init__(self):
        if self.phones.ndim != 2 or self.pieces.ndim != 2 or len(self.phones) != len(self.pieces):
            raise ValueError(f"an emission needs (T, P) phones and (T, V) pieces, not {self.phones.shape} and {self.pieces.shape}")

    def __len__(self) -> int:
        return len(self.phones)

    def __getitem__(self, frames: slice) -> "Emission":
        """The same frames of both heads (a view)."""
        return Emission(self.phones[frames], self.pieces[frames])

    @staticmethod
    def concatenate(parts: Sequence["Emission"]) -> "Emission":
        """One emission out of consecutive ones, at least one."""
        if len(parts) == 1:
            return parts[0]
        return Emission(np.concatenate([part.phones for part in parts]), np.concatenate([part.pieces for part in parts]))
