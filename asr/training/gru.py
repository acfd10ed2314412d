"""A GRU's recurrence for training: equal to torch.nn.GRU, quicker on a CPU, over several sequences at once.

On a GPU cuDNN's GRU does the work. On a CPU with a C++ compiler, `gru.cpp` is built once (about a minute, kept in torch's extension
folder) and runs one direction or one group of blocks a thread; without a compiler, the same steps run as torch operations. All three
give the same values (tests/test_gru.py), and the parameters are those of `torch.nn.GRU`, so a checkpoint knows nothing of this file.
"""

import functools
import logging
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

STALE_LOCK_S = 300                   # a build takes about a minute


@dataclass(frozen=True)
class Run:
    """One sequence to run through a GRU: x (T, N, D), start h0 (N, H) float32, and the direction."""

    gru: nn.GRU
    x: Tensor
    h0: Tensor
    reverse: bool = False


def run_together(runs: Sequence[Run]) -> list[Tensor]:
    """Run independent sequences, on a CPU side by side -> each one's states (T, N, H) in the dtype of its x."""
    if runs[0].x.is_cuda:
        return [_cudnn(run) for run in runs]
    gates = [_input_gates(run) for run in runs]                                         # (T, N, 3H) each
    weights = [run.gru.weight_hh_l0.t().to(run.x.dtype).contiguous() for run in runs]   # (H, 3H) each
    biases = [run.gru.bias_hh_l0[2 * run.gru.hidden_size:] for run in runs]
    reverse = [int(run.reverse) for run in runs]
    kernel = compiled()
    if kernel is None:
        return [_steps(g, w, b, run.h0, run.reverse) for g, w, b, run in zip(gates, weights, biases, runs, strict=True)]
    return list(_Recurrence.apply(kernel, reverse, *gates, *weights, *biases, *(run.h0 for run in runs)))


def _input_gates(run: Run) -> Tensor:
    """All frames' input gates with every bias but the one inside the reset product, as one matrix product."""
    hidden = run.gru.hidden_size
    bias = run.gru.bias_ih_l0 + nn.functional.pad(run.gru.bias_hh_l0[:2 * hidden], (0, hidden))
    return nn.functional.linear(run.x, run.gru.weight_ih_l0.to(run.x.dtype), bias.to(run.x.dtype))      # (T, N, 3H)


def _cudnn(run: Run) -> Tensor:
    x = run.x.flip(0) if run.reverse else run.x
    parameters = [p.to(x.dtype) for p in run.gru._flat_weights]
    states, _ = torch._VF.gru(x, run.h0[None].to(x.dtype), parameters, True, 1, 0.0, run.gru.training, False, False)
    return states.flip(0) if run.reverse else states


def _steps(gates: Tensor, weight: Tensor, bias: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    """The recurrence as torch operations, one step at a time: the reference, and the way without a compiler."""
    hidden, state, states = weight.shape[0], h0, []
    for t in reversed(range(len(gates))) if reverse else range(len(gates)):
        product = state.to(weight.dtype) @ weight                                       # (N, 3H)
        reset, update = torch.sigmoid((gates[t] + product)[:, :2 * hidden].float()).chunk(2, dim=1)
        candidate = torch.tanh(gates[t][:, 2 * hidden:].float() + reset * (product[:, 2 * hidden:].float() + bias))
        state = candidate + update * (state - candidate)
        states.append(state.to(gates.dtype))
    return torch.stack(states[::-1] if reverse else states)                             # (T, N, H)


class _Recurrence(torch.autograd.Function):
    """gru.cpp with its gradient; the weights' gradient is one large product after the time loop, not one a step."""

    @staticmethod
    def forward(ctx, kernel, reverse, *inputs):
        count = len(reverse)
        gates, weights, biases, starts = (inputs[i * count:(i + 1) * count] for i in range(4))
        gates = [g.contiguous() for g in gates]
        out = kernel.forward(gates, list(weights), [b.float().contiguous() for b in biases], list(starts), reverse)
        states, kept = out[0::2], out[1::2]
        ctx.kernel, ctx.reverse = kernel, reverse
        ctx.save_for_backward(*states, *kept, *weights, *starts)
        return tuple(states)

    @staticmethod
    def backward(ctx, *grads):
        count = len(ctx.reverse)
        states, kept, weights, starts = (list(ctx.saved_tensors[i * count:(i + 1) * count]) for i in range(4))
        grads = [g.to(h.dtype).contiguous() for g, h in zip(grads, states, strict=True)]
        back = [w.t().contiguous() for w in weights]
        out = ctx.kernel.backward(grads, states, kept, back, starts, ctx.reverse)
        gates, inner, first = out[0::3], out[1::3], out[2::3]
        weight_grads = [_weight_grad(*values) for values in zip(states, starts, gates, inner, ctx.reverse, strict=True)]
        return None, None, *gates, *weight_grads, *(q.float().sum((0, 1)) for q in inner), *first


def _weight_grad(states: Tensor, start: Tensor, gates: Tensor, inner: Tensor, reverse: int) -> Tensor:
    """states (T, N, H), gate gradients (T, N, 3H), gradient of q (T, N, H) -> gradient of the recurrent weight (H, 3H)."""
    hidden = states.shape[2]
    start = start[None].to(states.dtype)
    before = torch.cat([states[1:], start]) if reverse else torch.cat([start, states[:-1]])
    before = before.reshape(-1, hidden).t()                                             # (H, T N)
    outer = gates.reshape(-1, 3 * hidden)[:, :2 * hidden]
    return torch.cat([before @ outer, before @ inner.reshape(-1, hidden)], dim=1)       # (H, 3H)


@functools.cache
def compiled():
    """The compiled gru.cpp, or None (with a warning once) where no C++ compiler is at hand or ASR_NO_KERNEL is set."""
    if os.environ.get("ASR_NO_KERNEL"):
        return None
    from torch.utils import cpp_extension
    logging.getLogger(cpp_extension.__name__).setLevel(logging.ERROR)       # it warns of a missing GPU
    flags = ["-O3", "-ffast-math", "-march=native", "-fopenmp"]
    folder = Path(cpp_extension._get_build_directory("asr_gru", verbose=False))
    lock = folder / "lock"
    if lock.exists() and time.time() - lock.stat().st_mtime > STALE_LOCK_S:
        lock.unlink(missing_ok=True)                                        # of a build that was killed: torch would wait for ever
    try:
        return cpp_extension.load("asr_gru", [str(Path(__file__).with_name("gru.cpp"))], extra_cflags=flags, extra_ldflags=["-lmvec"],
                                  build_directory=str(folder))
    except (RuntimeError, OSError, ImportError) as error:
        reason = str(error).splitlines()[0]
        warnings.warn(f"training runs without its compiled GRU, about half as fast ({reason}); install g++ and ninja", stacklevel=2)
        return None
