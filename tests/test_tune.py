"""Choosing decoding options."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from asr.decoding import make_decoder
from asr.decoding.options import Calibration
from asr.decoding.tune import MOST_NOISE, PLAIN, Example, Outcome, _least_confidence, count, tune
from tests.decoding_world import SENTENCES, make_world, spoken
from tests.synthetic import speak


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Files of a small language."""
    return make_world(tmp_path_factory.mktemp("world"))


def test_errors_and_right_words_are_counted(world):
    """A wrong reference word is one edit, the other words are right, and each recognised word has its evidence."""
    said = spoken("the old man saw the sea")
    example = Example("dev", speak(said, noise=0.2), ("the", "old", "man", "saw", "a", "sea"))
    outcome = count(make_decoder(world, "beam", **PLAIN), [example, example])
    assert (outcome.edits, outcome.words) == ({"dev": 2}, {"dev": 12})
    assert outcome.right == (True, True, True, True, False, True) * 2
    assert len(outcome.evidence) == 12
    assert outcome.wer == pytest.approx(100 / 6)


def test_a_clear_valley_is_found():
    """With errors that are least at one place of each weight, for any beam from 48 on, that is what comes out."""
    def measure(changes: dict) -> Outcome:
        edits = 100 + 40 * abs(changes["lm_weight"] - 1.3) + 10 * abs(changes["word_score"] - 1.0) + 50 * (changes["beam_size"] < 48)
        edits += 50 * abs(changes["prior_weight"] - 0.2) + 20 * abs(changes["blank_penalty"] - 1.2)
        edits -= 5 * (changes.get("unknown") == {"gap": 0.5, "confidence": 0.75})
        assert changes["confidence"] == {"slope": 1.0, "offset": 0.0}
        return Outcome({"dev": edits}, {"dev": 1000}, 1.0, (2.0, 1.0, -1.0, -2.0) * 50, (True, True, False, False) * 50)

    def greedy() -> Outcome:
        return Outcome({"dev": 100}, {"dev": 1000}, 1.0, (2.0, 1.0, -1.0, -2.0) * 50, (True, True, False, False) * 50)

    chosen, outcome = tune(measure, greedy, {"beam_size": 64})
    assert chosen["lm_weight"] == pytest.approx(1.3, abs=0.13)
    assert chosen["word_score"] == pytest.approx(1.0, abs=0.13)
    assert chosen["prior_weight"] == pytest.approx(0.2, abs=0.04)
    assert chosen["blank_penalty"] == pytest.approx(1.2, abs=0.13)
    assert chosen["beam_size"] == 48
    assert chosen["unknown"] == {"gap": 0.5, "confidence": 0.75}
    assert chosen["confidence"]["slope"] > 1
    assert outcome.wer < 11


def test_the_second_head_stays_off_where_it_costs():
    """Where every threshold makes more errors than none, no word is replaced."""
    def measure(changes: dict) -> Outcome:
        off = changes.get("unknown", {}).get("confidence", 0) > 1
        return Outcome({"dev": 100 if off else 110}, {"dev": 1000}, 1.0, (1.0, -1.0), (True, False))

    chosen, _ = tune(measure, lambda: measure({}), {}, num_random=1)
    assert chosen["unknown"]["confidence"] > 1


@pytest.mark.parametrize("helps", [True, False])
def test_a_word_model_is_weighed_last(helps):
    """Its weights are found with the search as it was chosen, or left as it was; one that does not help stays off."""
    seen = []

    def measure(changes: dict) -> Outcome:
        rescoring = changes["rescoring"]
        edits = 100 + 40 * abs(changes.get("lm_weight", 0) - 1.3)
        if rescoring["hypotheses"]:
            seen.append(changes.get("lm_weight"))
            edits += (-30 if helps else 1) + 10 * abs(rescoring["weight"] - 2.4) + 10 * abs(rescoring["ngram"] - 1.0)
        return Outcome({"dev": edits}, {"dev": 1000}, 1.0, (1.0, -1.0), (True, False))

    for search in (True, False):
        seen.clear()
        chosen, _ = tune(measure, lambda: measure({"rescoring": {"hypotheses": 0}}), {"lm_weight": 1.7}, num_random=1, rescored=True,
                         search=search)
        assert set(seen) == {chosen["lm_weight"]}
        assert chosen["lm_weight"] == (pytest.approx(1.3, abs=0.13) if search else 1.7)
        if helps:
            assert chosen["rescoring"]["weight"] == pytest.approx(2.4, abs=0.11)
            assert chosen["rescoring"]["ngram"] == pytest.approx(1.0, abs=0.11)
        else:
            assert chosen["rescoring"] == {"hypotheses": 0}


def test_where_noise_begins():
    """Utterances are taken for noise up to the mean confidence at which four right words in a thousand are lost, and never above 0.59."""
    def confidences(doubtful: list[float]) -> float:
        evidence = [evidence for evidence in doubtful for _ in range(2)] + [4.0] * 2600
        right = [True, False] * len(doubtful) + [True] * 2600
        outcome = Outcome({"dev": 0}, {"dev": 2600}, 1.0, tuple(evidence), tuple(right), (2,) * len(doubtful) + (4,) * 650)
        return _least_confidence(outcome, Calibration(slope=1.0, offset=0.0))

    ten_lost, eleven_lost = (1 / (1 + np.exp(-evidence)) for evidence in (-0.8, -0.4))
    assert ten_lost < confidences([-1.2] * 9 + [-0.8, -0.4, 3.0]) <= eleven_lost
    assert confidences([-1.2, -0.8]) == confidences([]) == MOST_NOISE


def test_weights_for_real_emissions(world):
    """On noisy emissions the search improves on what it starts from, and what it finds makes a decoder."""
    examples = [Example("dev", speak(spoken(s), noise=1.6, confusion=0.25, seed=i), tuple(s.split())) for i, s in enumerate(SENTENCES[:9])]
    decoder = make_decoder(world, "beam", **PLAIN)
    before = count(decoder.with_changes(lm_weight=0.0), examples)
    seen = []
    chosen, outcome = tune(lambda c: count(decoder.with_changes(**c), examples), lambda: count(decoder, examples), {}, num_random=2,
                           report=lambda changes, result: seen.append(result.wer))
    assert outcome.wer < before.wer
    assert len(seen) > 20
    assert json.loads(json.dumps(chosen)) == chosen
    make_decoder(world, "beam", **chosen)


def test_the_command_writes_the_bundle(tmp_path, monkeypatch, tiny_bundle):
    """The whole command, on a bundle and a set made on the spot: bundle.json then holds options that load."""
    soundfile = pytest.importorskip("soundfile")
    from asr.bundle import load_bundle
    from asr.commands.tune import tune as command

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(tiny_bundle.folder, tmp_path / "bundle")
    speech = tmp_path / "speech"
    speech.mkdir()
    rows = ["utterance\tspeaker\tseconds\tsource\tlabel\tscore\ttext"]
    for i in range(2):
        soundfile.write(speech / f"u{i}.wav", np.random.default_rng(i).normal(0, 0.1, 16_000), 16_000)
        rows.append(f"u{i}\ts\t1.0\tmade\thuman\t\tthe cat sat")
    (speech / "dev-made.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    arguments = [str(tmp_path / "bundle"), "--speech", str(speech), "--trials", "0", "--jobs", "1"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "dev-made: WER" in result.output
    decoding = load_bundle(tmp_path / "bundle").decoding
    assert {"lm_weight", "prior_weight", "phone_prior", "beam_size", "unknown", "confidence", "greedy_confidence"} <= set(decoding)
    make_decoder(load_bundle(tmp_path / "bundle"), "beam")
