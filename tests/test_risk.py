"""Minimum word error training: the value and gradient of the expected errors, the n-best lists that they are taken over, whole runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.decoding import make_decoder
from asr.errors import BundleError, DataError
from asr.training.hypotheses import NBest
from asr.training.losses import LossConfig, Targets, losses
from asr.training.recipe import read_recipe
from asr.training.risk import Hypotheses, expected_errors
from asr.training.setup import check_decoder, prepare
from asr.units import BLANK_ID, PHONES, WORD_END
from tests.decoding_world import make_world, spoken
from tests.synthetic import speak
from tests.test_training import clips, run_and_interrupt, toy  # noqa: F401 (a fixture)

SENTENCE = "i see the night and the man went to the sea"
FRAMES = torch.tensor([7, 5, 6])
NONE = [0.0] * 5
LISTS = {0: [([1, 2], 0, -1.0), ([1, 3], 2, -0.5), ([4], 1, -2.0)], 2: [([2, 2], 1, 0.0), ([], 3, 0.3)]}     # row 1 has none


def hypotheses_of(lists: dict, charges: list[float] = NONE, words: int = 5, added: bool = False) -> Hypotheses:
    """Lists of (phones, errors, language score) by row as a batch's Hypotheses; `added`: the last of each was not found."""
    rows, phones, errors, language = zip(*((row, *entry) for row, listed in lists.items() for entry in listed), strict=True)
    last = [added and entry is listed[-1] for listed in lists.values() for entry in listed]
    return Hypotheses(torch.tensor(rows), torch.tensor([i for each in phones for i in each]), torch.tensor([len(each) for each in phones]),
                      torch.tensor(errors).float(), torch.tensor(language), torch.tensor(last), torch.tensor(charges), words)


@pytest.fixture
def log_probs():
    """Of three rows, (7, 3, 5) float64."""
    return torch.randn(7, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)


def by_paths(scores: np.ndarray, labels: list[int]) -> float:
    """Log of the sum over all paths of (T, V) scores that merge into the labels, path by path."""
    total = -np.inf
    for path in np.ndindex(*[scores.shape[1]] * len(scores)):
        merged = [unit for i, unit in enumerate(path) if unit != BLANK_ID and (i == 0 or path[i - 1] != unit)]
        if merged == labels:
            total = np.logaddexp(total, scores[np.arange(len(path)), path].sum())
    return total


@pytest.mark.parametrize("charges", [NONE, [-0.5, 0.3, 1.0, 0.2, 2.0]])
def test_the_expectation_is_that_of_the_formula(log_probs, charges):
    """P is the softmax of each hypothesis' paths, less the charges, and its language score; a row without a list has no value."""
    expected, centred = expected_errors(log_probs, FRAMES, hypotheses_of(LISTS, charges), 0.7)
    assert expected.shape == centred.shape == (2,)
    for found, less, (row, listed) in zip(expected, centred, LISTS.items(), strict=True):
        scores = (log_probs[:FRAMES[row], row] - torch.tensor(charges)).numpy()
        scores = 0.7 * np.array([by_paths(scores, labels) + language for labels, _, language in listed])
        chances, errors = np.exp(scores - np.logaddexp.reduce(scores)), np.array([errors for _, errors, _ in listed])
        assert found.item() == pytest.approx(chances @ errors, abs=1e-5)
        assert less.item() == pytest.approx(chances @ errors - errors.mean(), abs=1e-5)


def test_the_gradient_is_that_of_the_value(log_probs):
    """Autograd and finite differences agree, with charges too: what torch's CTC adds to its gradient cancels within a list."""
    hypotheses = hypotheses_of(LISTS, [-0.5, 0.3, 1.0, 0.2, 2.0])
    assert torch.autograd.gradcheck(lambda scores: expected_errors(scores, FRAMES, hypotheses, 1.0)[0], log_probs.requires_grad_())
    gradient, = torch.autograd.grad(expected_errors(log_probs, FRAMES, hypotheses, 1.0)[1].sum(), log_probs)
    assert (gradient[:, 1] == 0).all()                      # no list
    assert (gradient[6:, 2] == 0).all()                     # behind the end


def test_the_better_hypothesis_gains(log_probs):
    """A step down the gradient makes fewer errors likely, and the hypothesis without an error likelier."""
    hypotheses = hypotheses_of({0: [([1, 2], 0, 0.0), ([1, 3], 1, 0.0)]})
    moved = log_probs.requires_grad_()
    before = expected_errors(moved, FRAMES, hypotheses, 1.0)[0]
    gradient, = torch.autograd.grad(before.sum(), moved)
    after = expected_errors((log_probs - 0.5 * gradient).log_softmax(-1), FRAMES, hypotheses, 1.0)[0]
    assert after < before                                   # of two hypotheses, that is the second one's chance
    assert gradient[:7, 0, 2].sum() < 0 < gradient[:7, 0, 3].sum()


def test_a_list_of_one_and_equal_errors_teach_nothing(log_probs):
    """The reference alone has no errors to expect; a list whose hypotheses are all as wrong has some, and no gradient either."""
    moved = log_probs.requires_grad_()
    for listed, errors in [([([1, 2], 0, 0.0)], 0.0), ([([1, 2], 2, 0.0), ([3], 2, 1.0)], 2.0)]:
        expected, centred = expected_errors(moved, FRAMES, hypotheses_of({1: listed}), 1.0)
        gradient, = torch.autograd.grad(centred.sum(), moved)
        assert expected.item() == pytest.approx(errors)
        assert centred.item() == pytest.approx(0.0)
        assert gradient.abs().max() < 1e-12


def test_a_reference_that_the_search_lost_does_not_count(log_probs):
    """One that was added and would be the best is as if it were not there; a worse one is a hypothesis like others, and so is one alone."""
    rivals = [([1, 2], 1, 0.0), ([1, 3], 2, 0.0)]
    for language, listed in [(50.0, rivals), (-3.0, [*rivals, ([4], 0, -3.0)])]:
        with_it = expected_errors(log_probs, FRAMES, hypotheses_of({0: [*rivals, ([4], 0, language)]}, added=True), 1.0)
        torch.testing.assert_close(with_it, expected_errors(log_probs, FRAMES, hypotheses_of({0: listed}), 1.0))
    alone = expected_errors(log_probs, FRAMES, hypotheses_of({0: [([4], 0, 0.0)]}, added=True), 1.0)
    assert [value.item() for value in alone] == [0.0, 0.0]


def test_the_loss_has_it_by_label(log_probs):
    """The term is the lists' sum by the number of phones of their rows, times its weight; what is told are errors a word."""
    phones, targets = log_probs.float(), Targets.of([[1, 2], [3], [2, 2, 1]], [[1], [2, 1], [1]])
    hypotheses = hypotheses_of(LISTS, words=4)
    plain = losses(LossConfig(), phones, phones, phones, FRAMES, targets)
    found = losses(LossConfig(risk=10.0, risk_scale=0.3), phones, phones, phones, FRAMES, targets, hypotheses=hypotheses)
    expected, centred = expected_errors(phones, FRAMES, hypotheses, 0.3)
    torch.testing.assert_close(found.total - plain.total, 10 * centred.sum() / 5)
    torch.testing.assert_close(found.risk, expected.sum() / 4)
    assert plain.risk is None


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """The beam decoder of a small language, with charges."""
    prior = tuple(np.log(np.full(len(PHONES), 1 / len(PHONES))))
    return make_decoder(make_world(tmp_path_factory.mktemp("world")), lm_weight=1.5, word_score=0.3, prior_weight=0.2, phone_prior=prior,
                        blank_penalty=0.4)


def heard(*texts: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (T, N, V) of sentences as a model would hear them, and their frames (N,)."""
    rows = [torch.from_numpy(speak(spoken(text), noise=1.0, seed=1).phones) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows), torch.tensor([len(row) for row in rows])


def lists_of(found: Hypotheses) -> dict[int, list[tuple[str, float]]]:
    """By row: the phones of each hypothesis as text, and its errors."""
    listed: dict[int, list] = {}
    for row, labels, errors in zip(found.rows.tolist(), found.phones.split(found.lengths.tolist()), found.errors.tolist(), strict=True):
        listed.setdefault(row, []).append((" ".join(PHONES[i] for i in labels.tolist()), errors))
    return listed


def said(text: str) -> str:
    """The phones of a text by first pronunciations, a | after each word."""
    return " ".join(f"{phones} {WORD_END}" for _, phones in spoken(text))


def test_lists_hold_what_sounds_alike(decoder):
    """Of a clear sentence: itself without errors and others with the same sounds and one; what each scores is the bundle's weights'."""
    found = NBest(decoder, 6).find(*heard(SENTENCE), [SENTENCE])
    listed = lists_of(found)[0]
    assert len(listed) == 6
    assert found.words == 11
    errors = [errors for phones, errors in listed if phones == said(SENTENCE)]
    assert {0.0, 1.0} <= set(errors)                        # see and sea, night and knight
    words = [decoder.lexicon.words.tolist().index(word.encode()) for word in SENTENCE.split()]
    score = 1.5 * decoder.language.contexts().sentence_score(words) + 0.3 * len(words)
    assert found.language[found.errors == 0].item() == pytest.approx(score, abs=1e-4)
    assert found.charges[BLANK_ID].item() == pytest.approx(0.2 * -np.log(len(PHONES)) + 0.4, abs=1e-5)


def test_a_reference_that_was_not_heard_is_added(decoder):
    """It comes last, its words said as the hypotheses say them, where they do, else by their first pronunciation."""
    found = NBest(decoder, 4).find(*heard("the cat sat on the mat"), ["the cat saw the bird"])
    [*others, (phones, errors)] = lists_of(found)[0]
    assert (phones, errors) == (said("the cat saw the bird"), 0.0)
    assert found.added.tolist() == [False] * 4 + [True]
    assert len(others) == 4
    assert all(errors >= 2 for _, errors in others)
    dhiy = torch.from_numpy(speak([("the", "DH IY"), *spoken("cat sat")], noise=1.0, seed=1).phones)[:, None]
    [*_, (phones, errors)] = lists_of(NBest(decoder, 4).find(dhiy, torch.tensor([len(dhiy)]), ["the bird"]))[0]
    assert (phones, errors) == ("DH IY | B ER D |", 0.0)


def test_unknown_words_and_empty_rows(decoder):
    """A reference that the lexicon lacks is not added; a row without words has no list, nor has a second view."""
    log_probs, frames = heard("the cat sat", "the dog", "the man")
    finder = NBest(decoder, 3)
    listed = lists_of(finder.find(log_probs, frames, ["the zeppelin sat", "", "the man"]))
    assert set(listed) == {0, 2}
    assert len(listed[0]) == 3
    assert all(errors >= 1 for _, errors in listed[0])
    assert finder.find(log_probs, frames, ["", "", ""]) is None
    twice = torch.cat([log_probs, log_probs], 1)
    assert set(lists_of(finder.find(twice, frames.repeat(2), ["the cat sat", "the dog", "the man"]))) == {0, 1, 2}


def test_a_hypothesis_fits_into_its_row(decoder):
    """Nothing is listed that CTC has no path for: all scores are finite."""
    log_probs, _ = heard("the cat sat on the mat")
    for cut in range(1, len(log_probs)):
        found = NBest(decoder, 5).find(log_probs, torch.tensor([cut]), ["the cat sat on the mat"])
        if found is not None:
            assert expected_errors(log_probs, torch.tensor([cut]), found, 1.0)[0].isfinite().all()


def test_a_bundle_gives_the_decoder(tiny_bundle, tmp_path):
    """A bundle's own weights are used, its word model is not; one that cannot decode gives one line."""
    finder = NBest.open(tiny_bundle.folder, 3)
    log_probs, frames = heard("the cat sat")
    assert lists_of(finder.find(log_probs, frames, ["the cat sat"]))[0][0][1] == 0.0
    with pytest.raises(BundleError, match="no bundle at"):
        NBest.open(tmp_path / "none", 3)


def test_a_run_takes_steps_stops_and_goes_on(clips, tiny_bundle, tmp_path):  # noqa: F811
    """Beside MMI and two views, with rows without words: the run learns from its lists, and resumes to the very weights."""
    def run(name, resume=False, steps=None):
        recipe = toy(clips, passes=2, loss={"risk": 10.0, "mmi": 0.5, "consistency": 0.2, "smoothing": 0.05, "hypotheses": 4})
        recipe = replace(recipe, data=replace(recipe.data, noise_only=0.4))
        trainer = prepare(recipe, (), None, tmp_path / "cache", tmp_path / name, resume, decoder=tiny_bundle.folder)
        if steps:
            run_and_interrupt(trainer, steps)
        else:
            trainer.run(lambda place, numbers: None)
        return trainer.model.state_dict(), trainer.progress.step

    whole, steps = run("whole")
    run("stopped", steps=2)
    resumed, same_steps = run("stopped", resume=True)
    assert steps == same_steps > 2
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, atol=0, rtol=0)


def test_the_errors_are_told(clips, tiny_bundle, tmp_path, monkeypatch):  # noqa: F811
    """The history has the expected errors a word; a batch of rows without words has none, and stops nothing."""
    monkeypatch.setattr("asr.training.loop.REPORT_STEPS", 2)
    trainer = prepare(toy(clips, passes=3, loss={"risk": 1.0}), (), None, tmp_path / "cache", tmp_path / "run", decoder=tiny_bundle.folder)
    find, calls = trainer.n_best.find, []

    def find_or_none(*arguments):
        calls.append(None)
        return find(*arguments) if len(calls) > 1 else None
    trainer.n_best.find = find_or_none
    trainer.run(lambda place, numbers: None)
    events = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text("utf-8").splitlines()]
    told = [event["risk"] for event in events if event["kind"] == "train"]
    assert told
    assert all(0.5 < risk < 2 for risk in told)             # six words that nobody said


def test_a_recipe_and_its_decoder_belong_together():
    """What is missing, or too much, is said in a line."""
    with pytest.raises(DataError, match=r"\[loss\] risk.*--decoder asr/models/english"):
        check_decoder(read_recipe("toy", ["loss.risk=1.0"]), None)
    with pytest.raises(DataError, match="leave out --decoder, or add --set loss.risk"):
        check_decoder(read_recipe("toy"), Path("bundle"))
    with pytest.raises(BundleError, match="no bundle at"):
        check_decoder(read_recipe("toy", ["loss.risk=1.0"]), Path("no/such/bundle"))
    with pytest.raises(DataError, match=r"hypotheses = 1 in \[loss\]; risk compares 2 or more"):
        read_recipe("toy", ["loss.risk=1.0", "loss.hypotheses=1"])
    with pytest.raises(DataError, match=r"risk_scale = 0 in \[loss\]; expected more than 0"):
        read_recipe("toy", ["loss.risk=1.0", "loss.risk_scale=0"])
