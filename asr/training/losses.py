"""The training loss: CTC on phones (or MMI, in part) and on word pieces, and CTC half way up as a regulariser.

Each term is the sum over the batch divided by its number of labels, so a value reads as nats a phone (or piece) whatever the batch's
size. Intermediate CTC: Lee and Watanabe, "Intermediate Loss Regularization for CTC-based Speech Recognition", arXiv 2102.03216.

Tried: a frame-wise loss beside them, the phones' head without blank against the nearest spike of the forced alignment (80 ms either side),
at the top and half way, 0.3 each. After 260 steps from one checkpoint development loss was 0.994 with it and 0.979 without
(one seed, so the sign is not sure; it did not help).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr.training.discriminative import PhoneGrammar, against_others


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms beside the phones', which counts one, and what part of that is MMI."""

    pieces: float = 0.4
    halfway: float = 0.3
    mmi: float = 0.0


@dataclass(frozen=True)
class Targets:
    """Label ids of a batch: each (sum of lengths,) int64 with lengths (N,) int64."""

    phones: Tensor
    phone_lengths: Tensor
    pieces: Tensor
    piece_lengths: Tensor

    @classmethod
    def of(cls, phones: list[list[int]], pieces: list[list[int]]) -> "Targets":
        def flat(rows):
            return torch.tensor([i for row in rows for i in row], dtype=torch.long), torch.tensor([len(row) for row in rows])
        return cls(*flat(phones), *flat(pieces))


@dataclass(frozen=True)
class Loss:
    """The terms of one batch, each a mean over labels."""

    total: Tensor
    phones: Tensor
    pieces: Tensor


def losses(config: LossConfig, phones: Tensor, pieces: Tensor, halfway: Tensor, frames: Tensor, targets: Targets,
           grammar: PhoneGrammar | None = None) -> Loss:
    """phones (T, N, P), pieces (T, N, V), halfway (T, N, P) log-probabilities; frames (N,) valid lengths -> Loss.

    `grammar` is needed where `config.mmi` is not zero.
    """
    phone_loss = _ctc(phones, targets.phones, frames, targets.phone_lengths)
    piece_loss = _ctc(pieces, targets.pieces, frames, targets.piece_lengths)
    if config.mmi:
        others = against_others(phones, targets.phones, frames, targets.phone_lengths, grammar)
        phone_loss = phone_loss + config.mmi * others / _count(targets.phone_lengths)
    total = phone_loss + config.pieces * piece_loss
    if config.halfway:
        total = total + config.halfway * _ctc(halfway, targets.phones, frames, targets.phone_lengths)
    return Loss(total, phone_loss.detach(), piece_loss.detach())


def _ctc(log_probs: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    loss = functional.ctc_loss(log_probs, labels, frames, lengths, blank=0, reduction="sum", zero_infinity=True)
    return loss / _count(lengths)


def _count(lengths: Tensor) -> Tensor:
    return lengths.sum().clamp(min=1)
