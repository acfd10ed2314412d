"""The training loss: CTC on phones (or MMI, in part) and on word pieces, CTC half way up as a regulariser, and what a recipe adds.

Each term is the sum over the batch divided by its number of labels, so a value reads as nats a phone (or piece) whatever the batch's
size. Intermediate CTC: Lee and Watanabe, "Intermediate Loss Regularization for CTC-based Speech Recognition", arXiv 2102.03216.
Consistency: each utterance is seen twice, masked differently, and each view must foresee the other's frames: Yao et al., "CR-CTC:
Consistency regularization on CTC for improved speech recognition", arXiv 2410.05101. Label smoothing: at each frame the divergence of the
outputs from the uniform distribution, which is log V less their entropy: Kim et al., "Improved training for online end-to-end speech
recognition systems", arXiv 1711.02212; why in this direction: Pereyra et al., "Regularizing neural networks by penalizing confident
output distributions", arXiv 1701.06548 (it stays finite where the model is sure). Word errors: risk.py.

Tried: a frame-wise loss beside them, the phones' head without blank against the nearest spike of the forced alignment (80 ms either side),
at the top and half way, 0.3 each. After 260 steps from one checkpoint development loss was 0.994 with it and 0.979 without
(one seed, so the sign is not sure; it did not help).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr.training.discriminative import PhoneGrammar, against_others
from asr.training.risk import Hypotheses, expected_errors


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms beside the phones', which counts one; `mmi` is the part of that one which is MMI.

    With `consistency` a batch holds every utterance twice and takes twice the time; the paper has 0.2 and half the passes. `teacher`
    wants a folder with a teacher's encoder, `risk` a bundle's decoder, which finds so many `hypotheses` of each utterance (of its first
    view); `risk_scale` makes those more alike.
    """

    pieces: float = 0.4
    halfway: float = 0.3
    mmi: float = 0.0
    consistency: float = 0.0
    teacher: float = 0.0
    smoothing: float = 0.0
    risk: float = 0.0
    risk_scale: float = 0.5
    hypotheses: int = 8


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

    def twice(self) -> "Targets":
        """The targets of a batch that repeats its rows."""
        return Targets(*(torch.cat([held, held]) for held in vars(self).values()))


@dataclass(frozen=True)
class Lesson:
    """A teacher's states and what the model foresees of them, (T, N, C) both; `known` (T, N) says where the teacher has heard something."""

    foreseen: Tensor
    aims: Tensor
    known: Tensor

    @property
    def missed(self) -> Tensor:
        """() part of the states' variance that is not foreseen, summed over frames."""
        return ((self.foreseen - self.aims).square().mean(-1) * self.known).sum()


@dataclass(frozen=True)
class Loss:
    """The terms of one batch, each a mean over labels; `teacher` is one over frames, `risk` the expected errors a word."""

    total: Tensor
    phones: Tensor
    pieces: Tensor
    teacher: Tensor | None = None
    risk: Tensor | None = None


def losses(config: LossConfig, phones: Tensor, pieces: Tensor, halfway: Tensor, frames: Tensor, targets: Targets,
           grammar: PhoneGrammar | None = None, lesson: Lesson | None = None, hypotheses: Hypotheses | None = None) -> Loss:
    """phones (T, N, P), pieces (T, N, V), halfway (T, N, P) log-probabilities; frames (N,) valid lengths -> Loss.

    `grammar` is needed where `config.mmi` is not zero, `lesson` where `config.teacher` is not; `hypotheses` are those of the batch for
    `config.risk`, None where no row has any. With `config.consistency` the last half of the rows repeats the first half.
    """
    labels = _count(targets.phone_lengths)
    phone_loss = _ctc(phones, targets.phones, frames, targets.phone_lengths)
    piece_loss = _ctc(pieces, targets.pieces, frames, targets.piece_lengths)
    if config.mmi:
        phone_loss = phone_loss + config.mmi * against_others(phones, targets.phones, frames, targets.phone_lengths, grammar) / labels
    total = phone_loss + config.pieces * piece_loss
    if config.halfway:
        total = total + config.halfway * _ctc(halfway, targets.phones, frames, targets.phone_lengths)
    if config.consistency:                                                  # counts are of both views
        total = total + 2 * config.consistency * _of_heads(config, disagreement, phones, pieces, frames, targets)
    if config.smoothing:
        total = total + config.smoothing * _of_heads(config, sureness, phones, pieces, frames, targets)
    missed = risk = None
    if lesson is not None:
        total = total + config.teacher * lesson.missed / labels
        missed = lesson.missed.detach() / _count(lesson.known)
    if hypotheses is not None:
        expected, centred = expected_errors(phones, frames, hypotheses, config.risk_scale)
        total = total + config.risk * centred.sum() / _count(targets.phone_lengths[hypotheses.rows.unique()])
        risk = expected.detach().sum() / hypotheses.words
    return Loss(total, phone_loss.detach(), piece_loss.detach(), missed, risk)


def _of_heads(config: LossConfig, term: Callable[[Tensor, Tensor], Tensor], phones: Tensor, pieces: Tensor, frames: Tensor,
              targets: Targets) -> Tensor:
    """A term of both heads' outputs, a label of each, the pieces' by their weight."""
    value = term(phones, frames) / _count(targets.phone_lengths)
    return value + config.pieces * term(pieces, frames) / _count(targets.piece_lengths) if config.pieces else value


def disagreement(log_probs: Tensor, frames: Tensor) -> Tensor:
    """log_probs (T, 2N, V), two views of N rows; frames (2N,) -> () divergence of each view from the other, which stands still, halved."""
    first, second = log_probs.chunk(2, dim=1)                               # (T, N, V)
    apart = _divergence(first.detach(), second) + _divergence(second.detach(), first)
    return (apart * _valid(first, frames.chunk(2)[0])).sum() / 2


def sureness(log_probs: Tensor, frames: Tensor) -> Tensor:
    """log_probs (T, N, V), frames (N,) -> () divergence of the outputs from the uniform distribution, summed over the valid frames."""
    uniform = torch.full_like(log_probs, -math.log(log_probs.shape[-1]))
    return (_divergence(log_probs, uniform) * _valid(log_probs, frames)).sum()


def _divergence(aim: Tensor, log_probs: Tensor) -> Tensor:
    return (aim.exp() * (aim - log_probs)).sum(-1)                          # (T, N)


def _valid(log_probs: Tensor, frames: Tensor) -> Tensor:
    return torch.arange(len(log_probs), device=log_probs.device)[:, None] < frames.to(log_probs.device)          # (T, N)


def _ctc(log_probs: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    loss = functional.ctc_loss(log_probs, labels, frames, lengths, blank=0, reduction="sum", zero_infinity=True)
    return loss / _count(lengths)


def _count(lengths: Tensor) -> Tensor:
    return lengths.sum().clamp(min=1)
