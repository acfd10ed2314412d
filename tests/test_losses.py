import pytest
import torch

from asr.training.losses import LossConfig, Targets, disagreement, losses

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
