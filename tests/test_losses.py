import math

import pytest
import torch

from asr.training.losses import LossConfig, Targets, disagreement, losses, sureness

FRAMES = torch.tensor([6, 4, 6, 4])                         # two rows, and the same two again


@pytest.fixture
def log_probs():
    """Of two views that differ, (6, 4, 5)."""
    return torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)


def test_views_that_agree_cost_nothing(log_probs):
    """Equal views have no disagreement, and what lies behind the end of an utterance does not count."""
    same = torch.cat([log_probs[:, :2], log_probs[:, :2]], dim=1)
    same[4:, 3] = log_probs[4:, 3]
    assert disagreement(same, FRAMES).item() == pytest.approx(0, abs=1e-6)
    assert disagreement(log_probs, FRAMES) > 0.1


def test_the_disagreement_is_that_of_the_formula(log_probs):
    """The mean of both Kullback-Leibler divergences, by torch.distributions, summed over the frames of both rows."""
    def divergence(a, b):
        p, q = (torch.distributions.Categorical(logits=log_probs[:, row]) for row in (a, b))
        return torch.distributions.kl_divergence(p, q)
    expected = sum((divergence(row, row + 2) + divergence(row + 2, row))[:FRAMES[row]].sum() / 2 for row in range(2))
    torch.testing.assert_close(disagreement(log_probs, FRAMES), expected)


def test_each_view_moves_towards_the_other_as_it_stands(log_probs):
    """A step down the gradient brings the views together, and the gradient of a view is that against a fixed other view."""
    moved = log_probs.clone().requires_grad_()
    gradient, = torch.autograd.grad(disagreement(moved, FRAMES), moved)
    torch.testing.assert_close(gradient[:4, :2], -log_probs[:4, 2:].exp() / 2)
    assert disagreement((log_probs - 0.1 * gradient).log_softmax(-1), FRAMES) < disagreement(log_probs, FRAMES)


def test_two_equal_views_cost_what_one_does(log_probs):
    """The loss of a batch that holds its rows twice is that of the batch itself."""
    once, targets = log_probs[:, :2], Targets.of([[1, 2], [3]], [[1], [2, 1]])
    twice = torch.cat([once, once], dim=1)
    single = losses(LossConfig(), once, once, once, FRAMES[:2], targets)
    double = losses(LossConfig(consistency=0.2), twice, twice, twice, FRAMES, targets.twice())
    torch.testing.assert_close(double.total, single.total)


def test_doubt_costs_nothing_and_sureness_log_v():
    """Uniform outputs have no divergence, one-hot ones log V a frame; frames behind the end do not count."""
    frames = torch.tensor([3, 1])
    uniform, sure = torch.zeros(4, 2, 5).log_softmax(-1), torch.tensor([100.0, 0, 0, 0, 0]).expand(4, 2, 5).log_softmax(-1)
    assert sureness(uniform, frames).item() == pytest.approx(0, abs=1e-6)
    assert sureness(sure, frames).item() == pytest.approx(4 * math.log(5), rel=1e-6)
    half = torch.tensor([0.5, 0.5, 0, 0]).log().clamp(min=-80.0).expand(1, 1, 4)
    assert sureness(half, torch.tensor([1])).item() == pytest.approx(math.log(2), rel=1e-6)


def test_smoothing_is_the_divergence_a_label_and_lessens_sureness(log_probs):
    """The term is that of torch.distributions by number of labels, of both heads; its gradient is right, and makes outputs less sure."""
    targets = Targets.of([[1, 2], [3], [2], [4, 1]], [[1], [2], [1], [2]])
    once = losses(LossConfig(pieces=0.4), log_probs, log_probs, log_probs, FRAMES, targets)
    smooth = losses(LossConfig(pieces=0.4, smoothing=0.1), log_probs, log_probs, log_probs, FRAMES, targets)
    uniform = torch.distributions.Categorical(logits=torch.zeros(5))
    expected = sum(torch.distributions.kl_divergence(torch.distributions.Categorical(logits=log_probs[:frames, row]), uniform).sum()
                   for row, frames in enumerate(FRAMES))
    torch.testing.assert_close(smooth.total - once.total, 0.1 * (expected / 6 + 0.4 * expected / 4))
    logits = log_probs.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sureness(x.log_softmax(-1), FRAMES), logits)
    gradient, = torch.autograd.grad(sureness(logits.log_softmax(-1), FRAMES), logits)
    assert sureness((logits - 0.1 * gradient).log_softmax(-1), FRAMES) < sureness(log_probs.double(), FRAMES)
