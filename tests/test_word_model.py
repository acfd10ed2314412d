"""The word model: what its loss estimates, that it learns, goes on where it stopped, and scores in a bundle as it does in training."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.decoding.rescoring import BOUNDARY, UNKNOWN, Rescorer
from asr.errors import BundleError, CheckpointError, DataError
from asr.training.language import Corpus
from asr.training.word_model import WordModel, WordModelConfig, sampled_loss
from asr.training.word_training import WordTrainer, WordTrainingConfig, load_word_model, perplexity, prepare
from export.rescorer import write_rescorer

SIZES = WordModelConfig(words=40, embedding=16, hidden=24)
PLAN = WordTrainingConfig(passes=10, streams=4, span=8, sampled=30, peak_rate=1e-2, warmup_steps=10)


def text(lines: int = 400) -> list[str]:
    """Sentences in which each word but the first follows from the one before it: word 3 n + 7 modulo 37."""
    words = [f"{chr(97 + i % 26)}{'x' * (i // 26)}" for i in range(37)]
    chance, sentences = np.random.default_rng(0), []
    for _ in range(lines):
        at, sentence = int(chance.integers(37)), []
        for _ in range(6):
            sentence.append(words[at])
            at = (3 * at + 7) % 37
        sentences.append(" ".join(sentence))
    return sentences


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder with the text as numbers."""
    folder, corpus = tmp_path_factory.mktemp("words"), Corpus()
    corpus.add("text", text())
    prepare(corpus, folder, 39)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run) -> WordTrainer:
    """A trainer that has come to its end."""
    return finished(run, tmp_path_factory.mktemp("trained"))


def finished(run: Path, folder: Path, *stops: int) -> WordTrainer:
    """Train in `folder`, each time up to a step and then on from the file, and at last to the end."""
    for name in ("words.txt", "ids.npy"):
        (folder / name).write_bytes((run / name).read_bytes())
    for stop in stops:
        trainer = WordTrainer(folder, WordModelConfig(39, 16, 24), PLAN)
        assert not trainer.run(lambda line: None, lambda trainer=trainer, stop=stop: trainer.step >= stop)
        assert trainer.step == stop
    trainer = WordTrainer(folder, WordModelConfig(39, 16, 24), PLAN)
    assert trainer.run(lambda line: None)
    return trainer


def test_the_sum_is_estimated_without_bias():
    """The mean over many samples of the estimated softmax sum is the sum, and the loss of a large sample is the softmax's."""
    torch.manual_seed(0)
    model, targets = WordModel(SIZES), torch.tensor([3, 7, 3])
    outputs = torch.randn(3, SIZES.embedding)
    chance = torch.softmax(torch.randn(SIZES.words), 0)
    with torch.no_grad():
        exact = torch.nn.functional.cross_entropy(model.scores(outputs), targets)
        sums = model.scores(outputs).logsumexp(1)
        estimated, squares = sampled_loss(model, outputs, targets, torch.multinomial(chance, 400_000, replacement=True), chance.log())
        assert estimated.item() == pytest.approx(exact.item(), abs=0.02)
        assert squares.item() == pytest.approx(sums.square().mean().item(), abs=0.05)
        few = [(sampled_loss(model, outputs[:1], targets[:1], torch.multinomial(chance, 20, replacement=True), chance.log())[0]
                + model.score(outputs[:1], targets[:1])[0]).exp().item() for _ in range(4000)]
    assert np.mean(few) == pytest.approx(sums[0].exp().item(), rel=0.1)


def test_it_learns_and_needs_no_sum(trained):
    """A text whose words follow from each other is sure but for each sentence's first word; scores are log-probabilities as they are."""
    sentences = [torch.tensor(ids) for ids in np.array_split(trained.text[0, :140].astype(np.int64), 20)]
    sentences = [torch.cat([each, torch.tensor([BOUNDARY])]) for each in sentences]
    value, log_sum = perplexity(trained.model, sentences)
    assert value < 1.3 * 37 ** (1 / 7)                      # one free choice among 37 in seven
    assert log_sum < 0.3


def test_a_run_that_stopped_goes_on(run, trained, tmp_path):
    """Stopped twice and gone on with, it ends with the very weights of a run that was not."""
    again = finished(run, tmp_path, 5, 77)
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_a_run_begins_with_what_another_has_learned(run, trained, tmp_path):
    """Words that both know mean the same from the first step on; one that is new is as likely as its frequency says."""
    words = (run / "words.txt").read_text().split()
    turned = [*words[:2], *words[:1:-1]]
    turned[5] = "new"                                        # in place of one that the other run knows
    (tmp_path / "words.txt").write_text("\n".join(turned))
    ids = np.load(run / "ids.npy")
    place = np.array([turned.index(word) if word in turned else 5 for word in words], np.uint16)
    np.save(tmp_path / "ids.npy", place[ids])
    begun = WordTrainer(tmp_path, WordModelConfig(39, 16, 24), PLAN, start=trained.folder / "last.pt")
    told = [torch.tensor([turned.index(word) for word in sentence]) for sentence in (["</s>", *line.split(), "</s>"] for line in text(40))
            if set(sentence) <= set(turned)]
    assert len(told) > 10
    same = [torch.tensor([words.index(turned[i]) for i in ids.tolist()]) for ids in told]
    assert perplexity(begun.model, told)[0] == pytest.approx(perplexity(trained.model, same)[0], rel=0.1)
    assert begun.model.bias[5] > begun.model.bias[UNKNOWN]   # of which this text has none
    assert WordTrainer(tmp_path, WordModelConfig(39, 16, 24), PLAN).step == 0
    with pytest.raises(CheckpointError, match=r"last\.pt: a model of --embedding 16 --hidden 24; give these"):
        WordTrainer(tmp_path, WordModelConfig(39, 16, 32), PLAN, start=trained.folder / "last.pt")


def test_scores_in_a_bundle(trained, tmp_path):
    """Many hypotheses at once have the chances that the model gives each alone, end included; unknown words share the unknown word's."""
    write_rescorer(trained.model, trained.words, tmp_path)
    lexicon = np.array([word.encode() for word in [*trained.words[2:], "qqq", "zzz"]])
    unigrams = np.full(len(lexicon), -1.5, np.float32)
    unigrams[-2:] = [-3.0, -4.0]
    rescorer = Rescorer(tmp_path / "rescorer.onnx", tmp_path / "rescorer.words.txt", lexicon, unigrams)
    chance = np.random.default_rng(1)
    hypotheses = [tuple(chance.integers(len(lexicon), size=size).tolist()) for size in (0, 1, 1, 4, 7, 12)]
    hypotheses += [hypotheses[-1][:8] + (3,), hypotheses[3], (len(lexicon) - 1, 5), (len(lexicon) - 2, 5)]
    for words, score in zip(hypotheses, rescorer.scores(hypotheses), strict=True):
        ids = [BOUNDARY, *(word + 2 if word < len(lexicon) - 2 else UNKNOWN for word in words), BOUNDARY]
        read = torch.tensor(ids[:-1])[:, None].repeat(1, 2)
        with torch.no_grad():
            outputs, _ = trained.model(read, torch.zeros(2, 24))
            exact = trained.model.score(outputs[:, 0], torch.tensor(ids[1:])).sum().item() / math.log(10)
        share = {len(lexicon) - 2: math.log10(10 / 11), len(lexicon) - 1: math.log10(1 / 11)}
        exact += sum(share.get(word, 0.0) for word in words)
        assert score == pytest.approx(exact, abs=0.02 * len(ids))


def test_bad_input(run, tmp_path):
    """Too little text, a damaged state, one of another model, a damaged graph: an error that says so."""
    corpus = Corpus()
    corpus.add("text", ["too little"])
    with pytest.raises(DataError, match="2 different words, not 39"):
        prepare(corpus, tmp_path, 39)
    for name in ("words.txt", "ids.npy"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(DataError, match="too few for 4096 streams"):
        WordTrainer(tmp_path, WordModelConfig(39, 16, 24), WordTrainingConfig(streams=4096))
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_word_model(tmp_path / "last.pt")
    WordTrainer(tmp_path, WordModelConfig(39, 16, 24), PLAN).save()
    with pytest.raises(CheckpointError, match="of another model"):
        WordTrainer(tmp_path, WordModelConfig(39, 16, 32), PLAN)
    (tmp_path / "last.pt").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        WordTrainer(tmp_path, WordModelConfig(39, 16, 24), PLAN)
    (tmp_path / "rescorer.onnx").write_bytes(b"garbage")
    with pytest.raises(BundleError, match="cannot load it"):
        Rescorer(tmp_path / "rescorer.onnx", tmp_path / "words.txt", np.array([b"a"]), np.zeros(1, np.float32))
