"""AdamW with warm-up, a long plateau and a decay to zero; a moving average of the weights; the dtype that this device is fast in.

The schedule is told in passes over the data, not steps, so that a run may be lengthened until its decay begins: warm-up, plateau, then
a straight line to zero over the last part ("warmup-stable-decay", Hu et al., arXiv 2404.06395). Early stopping begins that last part
sooner: weights that stop improving at a high rate still gain from the decay.

Tried once, from one checkpoint: Muon for the GRU's matrices, gate by gate, at 2e-3 against AdamW at 1.5e-3. Training loss was 0.01 to 0.03
nats a phone lower over 250 steps, for a fifth more time a step; at 5e-3 it was 0.05 to 0.08 higher over 150. Development loss not measured.
"""

import math
import time
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class OptimisationConfig:
    """How a run goes."""

    passes: float = 18.0             # over the training data
    peak_rate: float = 1.5e-3
    warmup_steps: int = 500
    decay_part: float = 0.3          # of the passes, at the end
    weight_decay: float = 0.02
    clip_norm: float = 2.0
    average_decay: float = 0.999     # of the moving average of the weights
    evaluate_passes: float = 0.5     # between looks at the development sets
    patience: int = 12               # evaluations without a better development loss before the decay begins


@dataclass
class Schedule:
    """The learning rate at a place in the run; `decay_from` moves forward when the run stops improving."""

    config: OptimisationConfig
    decay_from: float
    end: float

    @classmethod
    def planned(cls, config: OptimisationConfig) -> "Schedule":
        return cls(config, config.passes * (1 - config.decay_part), config.passes)

    @property
    def planned_as(self) -> tuple[float, float]:
        """What of the recipe decides the schedule, as long as the run does not stop improving."""
        return self.config.passes, self.config.decay_part

    def rate(self, step: int, passes_done: float) -> float:
        """Learning rate of step `step` (from 0) after `passes_done` passes."""
        warm = min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        left = (self.end - passes_done) / max(1e-9, self.end - self.decay_from)
        return self.config.peak_rate * warm * min(1.0, max(0.0, left))

    def decay_now(self, passes_done: float) -> None:
        """Begin the decay here, with the length it was planned to have."""
        if passes_done < self.decay_from:
            self.end = passes_done + (self.end - self.decay_from)
            self.decay_from = passes_done


def make_optimiser(model: nn.Module, config: OptimisationConfig) -> torch.optim.AdamW:
    """AdamW; matrices decay, biases and norms do not."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.peak_rate, betas=(0.9, 0.98), fused=True)


class MovingAverage:
    """A copy of the model whose weights follow the trained ones slowly; what is evaluated and exported."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))                   # quick at first, else the start stays in it for long
        names, values = zip(*model.named_parameters(), strict=True)
        torch._foreach_lerp_([self.weights[n] for n in names], [v.detach() for v in values], 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights with the average's; call it twice to undo."""
        for name, p in model.named_parameters():
            held = p.detach().clone()
            p.copy_(self.weights[name])
            self.weights[name].copy_(held)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where its products are at least 1.3 times as fast as float32's on this device, measured; else float32."""
    best = {torch.bfloat16: math.inf, torch.float32: math.inf}
    for _ in range(20):                                                     # in turn and the best of many: the machine may be busy
        for dtype in best:
            a, b = torch.ones(256, 512, dtype=dtype, device=device), torch.ones(512, 768, dtype=dtype, device=device)
            began = time.perf_counter()
            (a @ b)[0, 0].item()                                            # .item() waits for the device
            best[dtype] = min(best[dtype], time.perf_counter() - began)
    return torch.bfloat16 if 1.3 * best[torch.bfloat16] < best[torch.float32] else torch.float32


def take_step(optimiser: torch.optim.Optimizer, model: nn.Module, rate: float, clip_norm: float) -> None:
    """Move the weights along their gradients, clipped to a norm in all, at one rate; then the gradients are zero."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm, foreach=True)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=False)
