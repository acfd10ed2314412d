"""`asr compare`: error rates of checkpoints before there is any bundle of them."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asr.cli import commands
from asr.config import LATENCIES
from asr.decoding.trials import Stored, Trials, log_prior, store
from asr.decoding.tune import Outcome, weigh
from asr.training import checkpoint as checkpoints
from asr.training.checkpoint import Checkpoint
from asr.training.listener import Listener, word_edits
from asr.training.pieces import PieceModel
from tests.tiny import CONFIG, tiny_checkpoint

TEXTS = ["the cat sat", "hello world", "a cat"]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A tiny random model whose pieces can be put together."""
    pieces = PieceModel.train(TEXTS * 3, CONFIG.pieces)
    size = len(pieces.units.units)
    return replace(tiny_checkpoint(config=replace(CONFIG, pieces=size)), pieces=list(pieces.units.units), piece_model=pieces.content)


def speech(folder: Path) -> Path:
    """A folder with a development set of noise."""
    folder.mkdir()
    rows = ["utterance\tspeaker\tseconds\tsource\tlabel\tscore\ttext"]
    for i, text in enumerate(TEXTS):
        soundfile.write(folder / f"u{i}.wav", np.random.default_rng(i).normal(0, 0.1, 16_000), 16_000)
        rows.append(f"u{i}\ts\t1.0\tmade\thuman\t\t{text}")
    (folder / "dev-made.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_a_row_for_each_checkpoint(checkpoint, tiny_bundle, tmp_path):
    """A table with a row for each, its size and its rates; whole or in chunks."""
    paths = [str(tmp_path / name) for name in ("one.pt", "two.pt")]
    for path in paths:
        checkpoints.save(checkpoint, path)
    arguments = ["compare", *paths, "--speech", str(speech(tmp_path / "speech")), "--bundle", str(tiny_bundle.folder), "--jobs", "1"]
    for more in ([], ["--chunk", "160"]):
        done = CliRunner().invoke(commands, [*arguments, *more], catch_exceptions=False)
        assert done.exit_code == 0
        head, _, *rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
        assert "greedy: dev-made" in head
        assert [row[0] for row in rows] == [f"| {path}" for path in paths]
        assert rows[0][1:] == rows[1][1:]                                   # the same model twice
        assert all(float(cell) >= 0 for cell in rows[0][2:6])


def test_a_listener_hears_what_the_model_says(checkpoint):
    """Its emission is the model's, at full context and in chunks, and its text that of the best path of the pieces."""
    samples = np.random.default_rng(1).normal(0, 0.1, 12_000).astype(np.float32)
    whole, text = Listener(checkpoint).hear(samples)
    chunked, _ = Listener(checkpoint, LATENCIES[160]).hear(samples)
    assert whole.phones.shape == chunked.phones.shape == (len(whole), CONFIG.phones)
    np.testing.assert_allclose(np.exp(whole.phones).sum(1), 1.0, atol=1e-5)
    assert np.abs(whole.phones - chunked.phones).max() > 1e-3
    assert set(text.replace(" ", "")) <= set("abcdefghijklmnopqrstuvwxyz'")


def test_word_edits():
    """Wrong, missing and added words count one each."""
    assert word_edits("the cat sat", "the cat sat") == 0
    assert word_edits("the cat sat", "a cat sat down") == 2
    assert word_edits("the cat sat", "") == 3


def test_weights_begin_at_the_usual_ones_and_end_lower():
    """Only the search's weights are tried, one at a time; rescoring and unknown words stay off."""
    seen = []

    def measure(changes: dict) -> Outcome:
        seen.append(changes)
        edits = 200 + 40 * abs(changes["lm_weight"] - 2.3) + 30 * abs(changes["blank_penalty"] - 1.0)
        return Outcome({"dev": edits}, {"dev": 1000})

    weights, outcome = weigh(measure, {"beam_size": 200})
    assert (weights["lm_weight"], weights["blank_penalty"]) == (pytest.approx(2.3, abs=0.13), pytest.approx(1.0, abs=0.13))
    assert outcome.wer < 21
    assert all(changes["rescoring"] == {"hypotheses": 0} and changes["unknown"]["confidence"] > 1 and changes["beam_size"] == 200
               for changes in seen)


class AtOnce:
    """A pool that does a task when it is given one."""

    def submit(self, task, *arguments):
        """A future that has its result."""
        done = Future()
        done.set_result(task(*arguments))
        return done


def test_trials_hear_what_was_stored(checkpoint, tiny_bundle, tmp_path):
    """Shares add up to all utterances; more processes than utterances leave none over; the prior is that of the stored phones."""
    emission, _ = Listener(checkpoint).hear(np.random.default_rng(2).normal(0, 0.1, 8_000).astype(np.float32))
    stored = []
    for i, text in enumerate(TEXTS):
        stored.append(Stored("dev", text, str(tmp_path / f"{i}.npz")))
        store(stored[-1].file, emission)
    outcome = Trials(AtOnce(), 5, tiny_bundle.folder, stored).beam({"beam_size": 20})
    assert outcome.words == {"dev": sum(len(text.split()) for text in TEXTS)}
    np.testing.assert_allclose(log_prior([stored[0].file]), np.log(np.exp(emission.phones).mean(0)), atol=0.01)
