import itertools

import pytest
import torch

from asr.training.discriminative import PhoneGrammar, against_others, backward, forward
from asr.training.losses import LossConfig, Targets, losses

V, FRAMES = 4, (5, 3, 1)
SEQUENCES = [[1, 2, 3, 3], [2, 1], [], [3, 3, 1]]


@pytest.fixture
def grammar():
    """A trigram of three units."""
    return PhoneGrammar.counted(SEQUENCES, V)


@pytest.fixture
def log_probs():
    """Of three rows, of which all, three and one frame count."""
    return torch.randn(max(FRAMES), len(FRAMES), V, generator=torch.Generator().manual_seed(0)).log_softmax(-1).requires_grad_()


def by_listing(log_probs, row, grammar):
    """Log of the sum over every path of a row: the path's probability times the trigram's of the sequence that it spells."""
    total = 0.0
    for path in itertools.product(range(V), repeat=FRAMES[row]):
        ids = [unit for unit, _ in itertools.groupby(path) if unit]
        spelt = grammar.score(torch.tensor(ids, dtype=torch.long), torch.tensor([len(ids)]))[0]
        total = total + (sum(log_probs[t, row, unit] for t, unit in enumerate(path)) + spelt).exp()
    return total.log()


def test_the_sum_over_all_sequences_and_its_gradient(grammar, log_probs):
    """Forward and backward over states give what listing every path gives, for rows of several lengths."""
    listed = torch.stack([by_listing(log_probs, row, grammar) for row in range(len(FRAMES))])
    gradient, = torch.autograd.grad(listed.sum(), log_probs)
    probs = log_probs.detach().exp()
    total, states = forward(probs, torch.tensor(FRAMES), grammar)
    occupied = backward(probs, torch.tensor(FRAMES), grammar, states)
    torch.testing.assert_close(total, listed.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(occupied, gradient, atol=1e-5, rtol=1e-5)


def test_a_trigram_is_a_distribution_that_prefers_what_it_saw(grammar):
    """Probabilities after every pair sum to one, none is zero, and seen sequences are likelier than unseen ones."""
    torch.testing.assert_close(grammar.probabilities.sum(-1), torch.ones(V, V))
    assert (grammar.probabilities > 0).all()
    seen, unseen = grammar.score(torch.tensor([2, 1, 1, 2]), torch.tensor([2, 2]))
    assert seen > unseen


def test_long_utterances_stay_finite(grammar):
    """A thousand frames of extreme doubt and certainty neither overflow nor vanish, and each frame is in some unit."""
    chance = torch.Generator().manual_seed(1)
    log_probs = (torch.randn(1000, 2, V, generator=chance) * 30).log_softmax(-1)
    frames = torch.tensor([1000, 600])
    total, states = forward(log_probs.exp(), frames, grammar)
    occupied = backward(log_probs.exp(), frames, grammar, states)
    assert total.isfinite().all()
    torch.testing.assert_close(occupied.sum(-1), (torch.arange(1000)[:, None] < frames).float(), atol=1e-4, rtol=0)


def test_the_loss_is_a_part_of_ctc_and_a_part_of_mmi(grammar, log_probs):
    """MMI is never negative, its weight goes evenly from CTC to MMI, and training by it makes the reference win."""
    targets = Targets.of([[1, 2], [3], [2]], [[1], [], [1]])
    frames = torch.tensor(FRAMES)

    def phones_at(part, values=log_probs):
        return losses(LossConfig(halfway=0.0, mmi=part), values, values, values, frames, targets, grammar).phones

    ctc, half, mmi = (phones_at(part).item() for part in (0.0, 0.5, 1.0))
    assert mmi >= 0
    assert half == pytest.approx((ctc + mmi) / 2)
    others = against_others(log_probs, targets.phones, frames, targets.phone_lengths, grammar)
    assert mmi - ctc == pytest.approx(others.item() / len(targets.phones), rel=1e-4)
    scores = torch.zeros(max(FRAMES), len(FRAMES), V, requires_grad=True)
    optimiser = torch.optim.Adam([scores], lr=0.5)
    for _ in range(100):
        optimiser.zero_grad()
        losses(LossConfig(pieces=0.0, halfway=0.0, mmi=1.0), *[scores.log_softmax(-1)] * 3, frames, targets, grammar).total.backward()
        optimiser.step()
    assert phones_at(1.0, scores.log_softmax(-1)) < 0.02
