"""The pronouncer: it learns, goes on where it stopped, says the same as a graph without torch, and the shipped one knows English."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from asr.cli import commands
from asr.errors import BundleError, CheckpointError, DataError
from asr.pronouncer import END, LETTERS, MODEL_FILE, PHONES, LetterToSound
from asr.training import pronouncer_training
from asr.training.pronouncer_model import PronouncerConfig, PronouncerModel
from asr.training.pronouncer_training import PronouncerTrainer, PronouncerTrainingConfig, error_rates, load_pronouncer, split
from asr.units import SPOKEN_PHONES
from export.pronouncer import write_pronouncer

SIZES = PronouncerConfig(embedding=16, encoder=24, decoder=48, dropout=0.0)
PLAN = PronouncerTrainingConfig(passes=12, batch=32, peak_rate=1e-2, warmup_steps=20)
SOUNDS = {"a": "AE", "e": "EH", "i": "IH", "o": "AA", "c": "K", "g": "G", "n": "N", "s": "S", "t": "T", "p": "P"}
CONSONANTS = ["c", "g", "n", "s", "t", "p", "sh", "th", "ph"]


def sound(word: str) -> tuple[str, ...]:
    """A toy language: soft c and g, sh, th, ph, and a last e that is silent."""
    phones, at = [], 0
    while at < len(word):
        two = word[at:at + 2]
        if two in ("sh", "th", "ph"):
            phones.append({"sh": "SH", "th": "TH", "ph": "F"}[two])
            at += 2
            continue
        if word[at] in "cg" and two[1:] in ("e", "i"):
            phones.append({"c": "S", "g": "JH"}[word[at]])
        elif word[at:] != "e" or not phones:
            phones.append(SOUNDS[word[at]])
        at += 1
    return tuple(phones)


def toy(count: int, seed: int) -> dict[str, list[tuple[str, ...]]]:
    """Words of the toy language, one to three consonants with a vowel after each."""
    chance, words = np.random.default_rng(seed), {}
    while len(words) < count:
        word = "".join(chance.choice(CONSONANTS) + chance.choice(list("aeio")) for _ in range(chance.integers(1, 4)))
        words[word] = [sound(word)]
    return words


WORDS, NEW = toy(1500, 0), toy(300, 1)


def finished(folder, *stops: int) -> PronouncerTrainer:
    """Train in `folder`, each time up to a step and then on from the file, and at last to the end."""
    for stop in stops:
        trainer = PronouncerTrainer(folder, WORDS, NEW, SIZES, PLAN)
        assert not trainer.run(lambda line: None, lambda trainer=trainer, stop=stop: trainer.step >= stop)
        assert trainer.step == stop
    trainer = PronouncerTrainer(folder, WORDS, NEW, SIZES, PLAN)
    assert trainer.run(lambda line: None)
    return trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> PronouncerTrainer:
    """A trainer that has come to its end, in evaluation mode."""
    trainer = finished(tmp_path_factory.mktemp("pronouncer"))
    trainer.model.eval()
    return trainer


@pytest.fixture(scope="module")
def graph(trained):
    """The trained model's file."""
    write_pronouncer(trained.model, trained.folder / "pronouncer.onnx")
    return trained.folder / "pronouncer.onnx"


def chance_of(model: PronouncerModel, word: str, phones: tuple[str, ...]) -> float:
    """Natural logarithm of P(phones and end | word), by torch."""
    ids = [PHONES.index(phone) for phone in phones]
    with torch.no_grad():
        scores = model(torch.tensor([[LETTERS.index(letter) for letter in word]]), torch.tensor([[END, *ids]]))
    return torch.log_softmax(scores[0], 1)[range(len(ids) + 1), [*ids, END]].sum().item()


def test_it_learns_the_rules_of_a_spelling(graph):
    """Words of a regular language that it never saw are all right, through the file and its search."""
    new = {word: said for word, said in NEW.items() if word not in WORDS}
    assert len(new) > 100
    found = LetterToSound(graph).pronounce_all(list(new))
    assert error_rates([best[0][1] for best in found], new.values()) == (0.0, 0.0)


def test_a_run_that_stopped_goes_on(trained, tmp_path):
    """Stopped twice and gone on with, it ends with the very weights of a run that was not."""
    again = finished(tmp_path, 5, 60)
    assert trained.step == again.step == trained.steps
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    for name, value in load_pronouncer(tmp_path / "last.pt").state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_the_graph_says_what_the_model_says(trained, graph):
    """The search's probabilities are the model's, up to the weights' rounding; among three guesses they fall."""
    sounds = LetterToSound(graph)
    for word in list(NEW)[:20]:
        guesses = sounds.pronounce(word, limit=3)
        assert [score for score, _ in guesses] == sorted((score for score, _ in guesses), reverse=True)
        assert len({said for _, said in guesses}) == len(guesses) == 3
        for score, said in guesses:
            exact = chance_of(trained.model, word, said)
            assert score == pytest.approx(exact, abs=0.05 + 0.05 * abs(exact))


def test_many_words_at_once_are_as_one_by_one(graph):
    """Lengths mixed, words twice, more than a batch, and words without letters among them."""
    sounds, words = LetterToSound(graph), [*list(NEW)[:150], "", "7'", next(iter(NEW))]
    together = sounds.pronounce_all(words, limit=2)
    assert len(together) == len(words)
    assert together[150] == together[151] == []
    for word, guesses in list(zip(words, together))[::10]:
        alone = sounds.pronounce(word, limit=2)
        assert [said for _, said in alone] == [said for _, said in guesses]
        assert [score for score, _ in alone] == pytest.approx([score for score, _ in guesses], abs=1e-4)
    assert sounds.pronounce("Ca5T") == sounds.pronounce("cat")


def test_words_kept_back_are_not_learned_from():
    """Nine tenths and a tenth make all; a twentieth for settings touches neither the tenth nor what is learned."""
    tenth, twentieth, none = (split(WORDS, name) for name in ("tenth", "twentieth", "none"))
    assert none == (WORDS, {})
    assert tenth[0] | tenth[1] == WORDS
    assert len(tenth[0]) + len(tenth[1]) == len(WORDS) == 10 * len(tenth[1])
    assert len(twentieth[1]) == len(WORDS) // 20
    assert not set(twentieth[1]) & (set(tenth[1]) | set(twentieth[0]))
    assert set(twentieth[0]) < set(tenth[0])


def test_errors_are_counted_against_the_nearest_pronunciation():
    """One of two words is wrong by one of its four phones; a variant that fits costs nothing."""
    said = [[("K", "AE", "T"), ("K", "AA", "T")], [("D", "AO", "G", "Z")]]
    assert error_rates([("K", "AA", "T"), ("D", "AO", "G")], said) == (1 / 7, 1 / 2)


def test_bad_files_say_so(tmp_path, graph):
    """No checkpoint, a damaged one, one of other sizes, a damaged graph, a graph of something else, nothing to learn from."""
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_pronouncer(tmp_path / "last.pt")
    PronouncerTrainer(tmp_path, WORDS, NEW, SIZES, PLAN).save()
    with pytest.raises(CheckpointError, match="of another model or other words"):
        PronouncerTrainer(tmp_path, WORDS, NEW, PronouncerConfig(embedding=16, encoder=24, decoder=40), PLAN)
    with pytest.raises(CheckpointError, match="of another model or other words"):
        PronouncerTrainer(tmp_path, toy(100, 2), NEW, SIZES, PLAN)
    torch.save({"format": 1, "model": {}}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of `asr pronouncer`"):
        load_pronouncer(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        PronouncerTrainer(tmp_path, WORDS, NEW, SIZES, PLAN)
    with pytest.raises(DataError, match="no words to learn from"):
        PronouncerTrainer(tmp_path / "empty", {}, {}, SIZES, PLAN)
    (tmp_path / "pronouncer.onnx").write_bytes(b"garbage")
    with pytest.raises(BundleError, match="cannot load it"):
        LetterToSound(tmp_path / "pronouncer.onnx")
    with pytest.raises(BundleError, match="no pronouncer"):
        LetterToSound(MODEL_FILE.parent / "models/english/rescorer.onnx")


@pytest.mark.parametrize(("word", "phones"), [
    ("blicket", "B L IH K IH T"),
    ("zat", "Z AE T"),
    ("brizzing", "B R IH Z IH NG"),
    ("trandle", "T R AE N D AH L"),
    ("flonk", "F L AA NG K"),
    ("shupping", "SH AH P IH NG"),
])
def test_the_shipped_one_knows_english(word, phones):
    """Words that there are none of, but that English has one way to say."""
    assert " ".join(LetterToSound().pronounce(word)[0][1]) == phones


@pytest.mark.parametrize("word", ["zxqj", "a" * 60, "x'y", "q", "supercalifragilistic"])
def test_any_letters_give_phones(word):
    """However odd the word, something comes out, of known phones, more than none and not endless."""
    guesses = LetterToSound().pronounce(word, limit=4)
    assert 1 <= len(guesses) <= 4
    assert all(0 < len(said) <= 3 * len(word) + 8 and set(said) <= set(SPOKEN_PHONES) and score < 0 for score, said in guesses)


def test_the_command_prints_pronunciations():
    """A line for each, a word's likeliest first; a word without letters is an error that names it."""
    done = CliRunner().invoke(commands, ["pronounce", "--limit", "2", "Blicket", "zat"])
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["Blicket", "Blicket", "zat", "zat"]
    assert rows[0][2] == "B L IH K IH T"
    assert float(rows[0][1]) > float(rows[1][1])
    with pytest.raises(DataError, match="'42' has none of the letters"):
        CliRunner().invoke(commands, ["pronounce", "zat", "42"], catch_exceptions=False)


def test_the_training_command(tmp_path, monkeypatch):
    """It trains, tells the errors on words kept back, and writes a file that `asr pronounce` reads."""
    monkeypatch.setattr("asr.training.pronounce.dictionary", lambda: WORDS)
    monkeypatch.setattr(pronouncer_training, "PronouncerTrainingConfig", lambda passes: PLAN)
    done = CliRunner().invoke(commands, ["pronouncer", str(tmp_path), "--keep-back", "tenth", "--encoder", "24", "--decoder", "48"],
                              catch_exceptions=False)
    assert done.exit_code == 0
    assert "150 words kept back: 0.00% of the phones and 0.00% of the words are wrong" in done.stdout
    word = next(iter(WORDS))
    done = CliRunner().invoke(commands, ["pronounce", "--model", str(tmp_path / "pronouncer.onnx"), word], catch_exceptions=False)
    assert done.stdout.split("\t")[2].split() == list(WORDS[word][0])
