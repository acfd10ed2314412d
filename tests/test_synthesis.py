"""`asr synthesize`: a set that training reads, which a stopped run goes on with; what was spoken badly is dropped."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

import asr
from asr.benchmark.sets import read_samples
from asr.cli import commands, main
from asr.config import RATE_HZ
from asr.errors import DataError
from asr.text import normalise
from asr.training import synthesis
from asr.training.corpora import read_corpus
from asr.training.synthesis import MANIFEST, Order, plain, word_errors
from asr.training.voices import Flite

TEXT = "She opened the door, and nobody was there.\nThe old man walked along the river.\nIn 1984 it rained.\nWe had bread for breakfast.\n"


@pytest.fixture
def text(tmp_path):
    """Three sentences that can be spoken and one that is passed over."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def run(*arguments) -> str:
    """`asr synthesize` by Flite in one process; it must end well."""
    done = CliRunner().invoke(commands, ["synthesize", *map(str, arguments), "--engine", "flite", "--jobs", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(out) -> list[list[str]]:
    """The manifest's rows, without its head."""
    return [line.split("\t") for line in (out / MANIFEST).read_text().splitlines()[1:]]


def test_a_set_that_training_reads(text, tmp_path):
    """As much speech as was asked for, every sentence by several speakers, at 16 kHz, with its text and its length."""
    told = run(text, tmp_path / "set", "--hours", "0.006")
    utterances = read_corpus(tmp_path / "set")
    assert f"{len(utterances)} utterances, 0.01 h" in told
    assert {utterance.text for utterance in utterances} == {line for line in TEXT.splitlines() if "1984" not in line}
    assert all(utterance.label == "synthetic" for utterance in utterances)
    assert len({utterance.speaker for utterance in utterances}) >= 4
    assert 21.6 <= sum(utterance.seconds for utterance in utterances) < 26
    for utterance in utterances:
        samples = read_samples(utterance)
        assert len(samples) / RATE_HZ == pytest.approx(utterance.seconds, abs=0.02)
        assert 0.2 < np.abs(samples).max() <= 1.0


def test_a_run_goes_on_where_it_stopped(text, tmp_path):
    """The same command adds nothing; more hours add to what is there, as one run would have; a row that was cut off is made again."""
    run(text, tmp_path / "set", "--hours", "0.003")
    first = rows(tmp_path / "set")
    run(text, tmp_path / "set", "--hours", "0.003")
    assert rows(tmp_path / "set") == first
    with (tmp_path / "set" / MANIFEST).open("a") as file:
        file.write("flite-cut\tflite_rms")
    run(text, tmp_path / "set", "--hours", "0.006")
    run(text, tmp_path / "whole", "--hours", "0.006")
    assert len(rows(tmp_path / "set")) > len(first)
    assert sorted(rows(tmp_path / "set")) == sorted(rows(tmp_path / "whole"))


def test_recorded_words_are_spoken_later(text, tmp_path):
    """What the manifests given have comes after the rest."""
    manifest = tmp_path / "have.tsv"
    manifest.write_text("utterance\ttext\n" + "".join(f"u{i}\t{line}\n" for i, line in enumerate(TEXT.splitlines()[:2] * 4)))
    run(text, tmp_path / "set", "--hours", "0.0003", "--recorded", manifest)
    assert rows(tmp_path / "set")[0][-1] == "We had bread for breakfast."


def test_an_interrupt_leaves_whole_rows(text, tmp_path):
    """Ctrl-C in the middle ends with status 130 and one line; the set can be read, and the command goes on."""
    command = [sys.executable, "-m", "asr", "synthesize", str(text), str(tmp_path / "set"), "--engine", "flite", "--jobs", "2"]
    with subprocess.Popen([*command, "--hours", "5"], stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        deadline = time.monotonic() + 60
        while not (tmp_path / "set" / MANIFEST).exists() or len(rows(tmp_path / "set")) < 5:
            assert running.poll() is None, running.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGINT)                # as a terminal does: to the workers, too
        assert running.wait(30) == 130
        assert "Traceback" not in running.stderr.read()
    made = len(read_corpus(tmp_path / "set"))
    assert made >= 5
    run(text, tmp_path / "set", "--hours", "0.0001")
    assert len(read_corpus(tmp_path / "set")) == made


class Mumbler:
    """An engine that says everything the same way."""

    rate_hz, speeds = 16_000, (1.0, 1.0)

    def speaker(self, rng):
        """Flite's pool will do."""
        return Flite(None, 1, 1).speaker(rng)

    def speak(self, text, speaker, speed):
        """A second of a tone, or nothing."""
        if text == "Silent.":
            return np.zeros(16_000, np.float32)
        return np.sin(np.arange(16_000) / 20).astype(np.float32)


class Listener:
    """A teacher that always hears the same."""

    def transcribe(self, samples):
        """What it hears."""
        return "The cat sat down."


@pytest.mark.parametrize(("text", "dropped"), [
    ("The cat sat down!", ""), ("The cats sat down.", ""), ("A dog ran off.", "understood otherwise by the teacher"),
    ("Silent.", "not between 0.5 and 20 s"),
])
def test_the_teacher_drops_what_it_hears_otherwise(text, dropped, monkeypatch):
    """One word of four may be heard otherwise; silence is no speech."""
    monkeypatch.setattr(synthesis, "_worker", (Mumbler(), Listener()))
    clip = synthesis._speak("name", text, 7)
    assert clip.dropped == dropped
    assert bool(clip.opus) is not bool(dropped)


def test_a_text_that_is_dropped_throughout_ends(tmp_path, monkeypatch):
    """Where nothing of a text can be used, the run ends and says so."""
    done = CliRunner().invoke(commands, ["synthesize", str(tmp_path / "a.txt"), str(tmp_path / "set"), "--engine", "flite"])
    assert done.exit_code == 2
    (tmp_path / "a.txt").write_text("Mm\n")
    monkeypatch.setattr(synthesis, "LEAST_S", 30.0)
    order = Order("flite", None, 1, 3)
    tasks = synthesis._tasks(lambda: ["Mm"], (folder := synthesis._Folder(make(tmp_path / "set"))), order)
    for name, text, _ in tasks:
        folder.add(synthesis.Clip(name, text, dropped="too short"), "Flite")
    assert folder.made.dropped == Counter({"too short": synthesis.FRUITLESS})


def test_a_few_drops_do_not_end_a_short_text(tmp_path):
    """A text of one line of which some clips are dropped is spoken round after round, also by a run that goes on."""
    order, out = Order("flite", None, 1, 3), make(tmp_path / "set")
    for kept in (6, 12):
        folder = synthesis._Folder(out)
        for number, (name, text, _) in enumerate(synthesis._tasks(lambda: ["Mm"], folder, order)):
            folder.add(synthesis.Clip(name, text, "speaker", 1.0, b"-", "too short" if number % 3 else ""), "Flite")
            if folder.made.utterances == kept:
                break
        assert folder.made.utterances == kept


def make(folder):
    """The folder, made."""
    folder.mkdir()
    return folder


def test_faults_are_one_line(text, tmp_path, monkeypatch, capsys):
    """A folder of something else, one that cannot be written, voices that are none, programs that are missing."""
    (make(tmp_path / "other") / MANIFEST).write_text("a\tb\n1\t2\n")
    (tmp_path / "file").write_text("")
    for arguments, told in (
        ([tmp_path / "other", "--engine", "flite"], "not a manifest of `asr synthesize`"),
        ([tmp_path / "file" / "set", "--engine", "flite"], "cannot be written: Not a directory"),
        ([tmp_path / "set", "--voices", tmp_path / "other"], "no voices (*.bin) in it; npm pack kokoro-js@1.2.1"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["synthesize", str(text), *map(str, arguments)])
        assert ended.value.code == 1
        line, = [line for line in capsys.readouterr().err.splitlines() if line.startswith("asr: ")]
        assert told in line
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="the program flite is not installed; on Debian: apt-get install flite"):
        Flite(None, 1, 1)


def test_kokoro_is_understood(tmp_path):
    """Kokoro-82M, as its package holds it, says a sentence that the shipped model mostly understands, and again in another voice."""
    sentence = "The old man walked along the river and opened the door."
    (tmp_path / "text.txt").write_text(sentence + "\n")
    command = [sys.executable, "-m", "asr", "synthesize", str(tmp_path / "text.txt"), str(tmp_path / "set")]
    subprocess.run([*command, "--hours", "0.0013", "--jobs", "1"], check=True, capture_output=True)
    utterances = read_corpus(tmp_path / "set")
    assert len({utterance.speaker for utterance in utterances}) == len(utterances) >= 2
    heard = [asr.Recognizer().transcribe(read_samples(utterance), RATE_HZ).text for utterance in utterances]
    assert min(word_errors(sentence, text) for text in heard) <= 0.5, heard


def test_text_for_the_engines():
    """Accents and curly quotes go, a sentence in capitals is not spelt, an acronym is."""
    assert plain("“Naïve” – he’d say") == '"Naive" - he\'d say'
    assert plain("THE END OF IT") == "The end of it"
    assert plain("NASA") == "NASA"
    assert normalise(plain("Café")) == "cafe"
