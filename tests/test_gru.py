"""The training GRU equals torch.nn.GRU: outputs, gradients, both directions, with and without the compiled kernel."""

import pytest
import torch
from torch import nn

from asr.training import gru
from asr.training.gru import Run, run_together

STEPS, ROWS, INPUTS, HIDDEN = 9, 5, 12, 8


@pytest.fixture(params=["compiled", "operations"])
def kernel(request, monkeypatch):
    """Both ways to run on a CPU; CI has a compiler, so the compiled one must be there."""
    if request.param == "operations":
        monkeypatch.setattr(gru, "compiled", lambda: None)
    else:
        assert gru.compiled() is not None, "gru.cpp did not build: install g++ and ninja"
    return request.param


def gradients(modules, x, outputs):
    """Gradients of a fixed random projection of the outputs, by x and by every parameter."""
    torch.manual_seed(5)
    sum((o.float() * torch.randn(o.shape)).sum() for o in outputs).backward()
    found = [x.grad, *(p.grad for m in modules for p in m.parameters())]
    x.grad = None
    for module in modules:
        module.zero_grad()
    return [g.clone() for g in found]


@pytest.mark.parametrize("rows", [1, ROWS])
def test_equals_torch_gru(kernel, rows):
    """Two directions run together give torch.nn.GRU's states and gradients."""
    torch.manual_seed(1)
    ahead, back = nn.GRU(INPUTS, HIDDEN), nn.GRU(INPUTS, HIDDEN)
    x = torch.randn(STEPS, rows, INPUTS, requires_grad=True)
    start = torch.randn(rows, HIDDEN)
    ours = run_together([Run(ahead, x, start), Run(back, x, torch.zeros(rows, HIDDEN), reverse=True)])
    our_gradients = gradients([ahead, back], x, ours)
    theirs = [ahead(x, start[None])[0], back(x.flip(0))[0].flip(0)]
    their_gradients = gradients([ahead, back], x, theirs)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)
    for mine, reference in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)


def test_gradient_reaches_the_start_state(kernel):
    """The state a sequence starts from has torch.nn.GRU's gradient, in both directions."""
    torch.manual_seed(2)
    module = nn.GRU(INPUTS, HIDDEN)
    x, start = torch.randn(STEPS, ROWS, INPUTS), torch.randn(ROWS, HIDDEN, requires_grad=True)
    for reverse in (False, True):
        run_together([Run(module, x, start, reverse)])[0].square().sum().backward()
        mine, start.grad = start.grad.clone(), None
        module(x.flip(0) if reverse else x, start[None])[0].square().sum().backward()
        torch.testing.assert_close(mine, start.grad, atol=1e-5, rtol=1e-4)
        start.grad = None


@pytest.mark.parametrize("hidden", [HIDDEN, 64])
@pytest.mark.parametrize("rows", [1, 7, 12])
def test_bfloat16_stays_close(kernel, rows, hidden):
    """In bfloat16 states and gradients differ from float32's by rounding alone, over a long sequence; 64 has its own product."""
    torch.manual_seed(4)
    module = nn.GRU(INPUTS, hidden)
    x, start = torch.randn(200, rows, INPUTS, requires_grad=True), torch.zeros(rows, hidden)
    half, = run_together([Run(module, x.bfloat16(), start)])
    half_gradients = gradients([module], x, [half])
    full, _ = module(x)
    full_gradients = gradients([module], x, [full])
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).abs().max() < 0.03
    for mine, reference in zip(half_gradients, full_gradients, strict=True):
        assert (mine - reference).norm() < 0.03 * reference.norm()
