"""The phones' loss against all other phone sequences: maximum mutual information (MMI) over CTC's paths.

CTC asks that the paths of the reference are likely; frame by frame it pays for a doubt that no sequence of sounds could resolve.
MMI asks that the reference is likely among all sequences that a trigram of phones allows, each weighed by it:

    -log  P(x | y) p(y) / sum over z of P(x | z) p(z)

with P(x | y) the sum over the paths of y, as in CTC. Xiang and Ou, "CRF-based single-stage acoustic modeling with CTC topology"
(arXiv 1904.04346); Hadian et al., "End-to-end speech recognition using lattice-free MMI" (Interspeech 2018). The sum over z runs forward
and backward over states (last phone but one, last phone, blank or not), in linear space, scaled to one at each frame.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

EDGE = 0                             # the blank's id, which no sequence holds, stands for its start and its end
DISCOUNT = 0.7                       # of absolute discounting, at every order


class PhoneGrammar:
    """A trigram of unit ids: `probabilities[a, b, c]` (V, V, V) float32, of c (EDGE: the end) after a and b (EDGE: before the start)."""

    def __init__(self, probabilities: Tensor):
        self.probabilities = probabilities
        V = len(probabilities)
        onward = probabilities.clone()
        onward[:, :, EDGE] = 0.0                                            # the end is no step
        fresh = onward.clone()
        fresh[:, range(V), range(V)] = 0.0                                  # after itself, a phone needs a blank between
        self.steps = torch.cat([onward, fresh]).transpose(0, 1).contiguous()    # (V last, 2V blank or not and last but one, V next)
        self.steps_back = self.steps.transpose(1, 2).contiguous()           # (V last, V next, 2V)
        self.ends = probabilities[:, :, EDGE].T.repeat(1, 2)[:, None]       # (V last, 1, 2V)

    @classmethod
    def counted(cls, sequences: Iterable[Sequence[int]], size: int) -> "PhoneGrammar":
        """From sequences of ids below `size`: absolute discounting, each order interpolated with the next lower one."""
        counts = np.zeros((size, size, size), np.int64)
        for ids in sequences:
            told = np.array([EDGE, EDGE, *ids, EDGE])
            np.add.at(counts, (told[:-2], told[1:-1], told[2:]), 1)
        lower = np.full(size, 1.0 / size)
        for order in (counts.sum((0, 1)), counts.sum(0), counts):
            total = order.sum(-1, keepdims=True)
            kept = np.maximum(order - DISCOUNT, 0.0)
            freed = DISCOUNT * (order > 0).sum(-1, keepdims=True)
            lower = np.where(total > 0, (kept + freed * lower) / np.maximum(total, 1), lower)
        return cls(torch.from_numpy(lower.astype(np.float32)))

    def score(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (sum of lengths,), lengths (N,) -> (N,) log-probabilities of the sequences."""
        scores = []
        for row in ids.split(lengths.tolist()):
            told = torch.cat([row.new_full((2,), EDGE), row, row.new_full((1,), EDGE)])
            scores.append(self.probabilities[told[:-2], told[1:-1], told[2:]].log().sum())
        return torch.stack(scores)


def against_others(log_probs: Tensor, labels: Tensor, frames: Tensor, lengths: Tensor, grammar: PhoneGrammar) -> Tensor:
    """What makes the CTC loss of a batch (summed, in nats) its MMI loss when added to it.

    log_probs (T, N, V), labels (sum of lengths,), frames and lengths (N,) -> ().
    """
    return _Total.apply(log_probs, frames, grammar).sum() - grammar.score(labels, lengths).sum()


class _Total(torch.autograd.Function):
    """Log of the sum over all sequences, (N,); its gradient is how likely each unit is at each frame, found on the way."""

    @staticmethod
    def forward(context, log_probs: Tensor, frames: Tensor, grammar: PhoneGrammar) -> Tensor:
        probs = log_probs.detach().float().exp()                            # (T, N, V)
        total, states = forward(probs, frames, grammar)
        if context.needs_input_grad[0]:                                     # on development speech the sum is enough
            context.save_for_backward(backward(probs, frames, grammar, states).to(log_probs.dtype))
        return total

    @staticmethod
    def backward(context, gradient: Tensor):
        occupied, = context.saved_tensors
        return occupied * gradient[None, :, None], None, None


def forward(probs: Tensor, frames: Tensor, grammar: PhoneGrammar) -> tuple[Tensor, Tensor]:
    """probs (T, N, V), frames (N,) -> log of the sum over all sequences (N,), and the part of it in each state before each frame and at
    the end (T + 1, V last phone, N, 2V), scaled: the last frame was a blank (first V) or the phone itself (last V), by the phone before.
    """
    T, N, V = probs.shape
    alive, all_alive = _alive(probs, frames)
    by_unit = _by_unit(probs)
    states = probs.new_zeros(T + 1, V, N, 2 * V)
    states[0, EDGE, :, EDGE] = 1.0
    log_scale = probs.new_zeros(N)
    for t in range(T):
        before, after, unit = states[t], states[t + 1], by_unit[t]
        moved = torch.bmm(before, grammar.steps).permute(2, 1, 0)           # (V next, N, V last)
        torch.add(before[..., :V], before[..., V:], out=after[..., :V])
        after[..., :V] *= unit[EDGE]
        torch.add(before[..., V:], moved, out=after[..., V:])
        after[..., V:] *= unit
        scale = after.sum((0, 2))                                           # (N,)
        after /= scale[:, None]
        log_scale += scale.log() * alive[t]
        if not all_alive[t]:
            after[:, ~alive[t]] = before[:, ~alive[t]]
    return log_scale + (states[T] * grammar.ends).sum((0, 2)).log(), states


def backward(probs: Tensor, frames: Tensor, grammar: PhoneGrammar, states: Tensor) -> Tensor:
    """As `forward`, and its states -> what part of the sum is in each unit at each frame (T, N, V)."""
    T, _, V = probs.shape
    alive, all_alive = _alive(probs, frames)
    by_unit = _by_unit(probs)
    beta = grammar.ends / (states[T] * grammar.ends).sum((0, 2))[:, None]   # (V, N, 2V): states times beta sum to one
    occupied = torch.zeros_like(probs)
    for t in range(T - 1, -1, -1):
        unit = by_unit[t]
        held = states[t + 1] * beta
        here = held[..., V:].sum(2).T                                       # (N, V)
        here[:, EDGE] = held[..., :V].sum((0, 2))
        share = here.sum(1, keepdim=True)                                   # one, but for rounding
        occupied[t] = here / share * alive[t][:, None]
        through = beta / share[None]
        onward = through[..., V:] * unit                                    # (V last, N, V last but one)
        earlier = torch.bmm(onward.permute(2, 1, 0), grammar.steps_back)    # (V last, N, 2V)
        earlier[..., V:] += onward
        earlier += (through[..., :V] * unit[EDGE]).repeat(1, 1, 2)
        earlier /= (states[t] * earlier).sum((0, 2))[:, None]
        beta = earlier if all_alive[t] else torch.where(alive[t][None, :, None], earlier, beta)
    return occupied


def _alive(probs: Tensor, frames: Tensor) -> tuple[Tensor, list[bool]]:
    """Which rows have each frame (T, N), and whether all have."""
    alive = torch.arange(len(probs))[:, None] < frames[None, :].cpu()
    return alive.to(probs.device), alive.all(1).tolist()


def _by_unit(probs: Tensor) -> Tensor:
    return probs.permute(0, 2, 1)[..., None].contiguous()                   # (T, V, N, 1)
