"""`asr transcribe`: text and files, one bad recording among good ones, nothing half written. Tones stand for words (tones.py)."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asr.cli import commands
from asr.config import RATE_HZ
from tests.tones import recording, tone_models

ROOT = Path(__file__).parents[1]
SPOKEN = [("one", 0.4, 0.8), ("two", 0.88, 1.2), ("three", 4.0, 4.4)]
PROGRAM = ("import asr.client.recognizer as r, tests.tones as t; r.load_models = lambda *_: t.tone_models(); "
           "from asr.cli import main; main()")


@pytest.fixture
def transcribe(monkeypatch, tmp_path):
    """Runs the command in `tmp_path`, where good.wav says one two three: (exit status, standard output, standard error)."""
    monkeypatch.setattr("asr.client.recognizer.load_models", lambda *_: tone_models())
    monkeypatch.chdir(tmp_path)
    soundfile.write("good.wav", recording(SPOKEN, 5), RATE_HZ)

    def run(*arguments):
        result = CliRunner().invoke(commands, ["transcribe", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr
    return run


def test_text_on_standard_output(transcribe):
    """One file gives its text alone, a line until each long pause."""
    assert transcribe("good.wav") == (0, "one two\nthree\n", "")


def test_several_files(transcribe):
    """With several files each line says whose it is."""
    soundfile.write("b.flac", recording([("nine", 0, 0.4)], 1, 48_000), 48_000)
    assert transcribe("good.wav", "b.flac") == (0, "good.wav: one two\ngood.wav: three\nb.flac: nine\n", "")


def test_a_bad_file_does_not_stop_the_others(transcribe):
    """Bad files give a line each, good ones their text, the last line the count, and the exit status is 1."""
    Path("text.wav").write_text("no audio")
    soundfile.write("nan.wav", np.full(100, np.nan), RATE_HZ, subtype="FLOAT")
    status, out, err = transcribe("absent.wav", "text.wav", ".", "nan.wav", "good.wav")
    lines = err.splitlines()
    assert (status, out) == (1, "good.wav: one two\ngood.wav: three\n")
    assert [line.split(":")[:2] for line in lines[:4]] == [["asr", f" {name}"] for name in ("absent.wav", "text.wav", ".", "nan.wav")]
    assert lines[4:] == ["asr: 4 of 5 files could not be read, or not to their end"]


@pytest.mark.parametrize("form", ["srt", "vtt", "json", "tsv"])
def test_files_beside_the_recordings(transcribe, form):
    """Other formats are written beside the recording and nothing else is left there."""
    assert transcribe("--format", form, "good.wav") == (0, "", "")
    assert sorted(os.listdir()) == sorted(["good.wav", f"good.{form}"])
    text = Path(f"good.{form}").read_text(encoding="utf-8")
    assert "three" in text
    if form == "json":
        assert [word["start_s"] for word in json.loads(text)["words"]] == [start_s for _word, start_s, _end_s in SPOKEN]
    if form == "srt":
        assert text.startswith("1\n00:00:00,400 --> 00:00:01,400\none two\n\n2\n00:00:04,000 --> ")


def test_output_folder(transcribe):
    """With --output-dir, text too goes to files, in a folder that is made."""
    assert transcribe("--output-dir", "texts/here", "good.wav") == (0, "", "")
    assert Path("texts/here/good.txt").read_text() == "one two\nthree\n"


def test_two_recordings_of_one_name(transcribe):
    """Two recordings that would be written to one file are refused before any work."""
    soundfile.write("good.flac", recording(SPOKEN, 5), RATE_HZ)
    with pytest.raises(Exception, match=r"good\.wav and good\.flac would both be written to good\.srt"):
        transcribe("--format", "srt", "good.wav", "good.flac")
    assert not Path("good.srt").exists()


def test_a_truncated_file_keeps_its_words(transcribe):
    """The words of what is there are written, and the status says that something is missing."""
    Path("good.wav").write_bytes(Path("good.wav").read_bytes()[:3 * RATE_HZ * 2])
    status, out, err = transcribe("good.wav")
    assert (status, out) == (1, "one two\n")
    assert "cut short after 3.0 of 5.0 s" in err
    assert transcribe("--format", "srt", "good.wav")[0] == 1
    assert "one two" in Path("good.srt").read_text()


def test_an_interrupt_keeps_what_is_done(tmp_path):
    """Ctrl-C while a recording of an hour is read: its text so far stays, no half file is left, the exit status is 130."""
    soundfile.write(tmp_path / "a.wav", recording([("six", 0, 0.4), ("seven", 25, 26)], 32), RATE_HZ)
    sound = recording([("six", 20, 20.4)], 40)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE_HZ, 1) as file:
        for _ in range(90):
            file.write(sound)
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, "transcribe", tmp_path / "a.wav", tmp_path / "long.flac"], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [program.stdout.readline() for _ in range(4)]
    program.send_signal(signal.SIGINT)
    _out, err = program.communicate(timeout=60)
    assert lines == [f"{tmp_path / 'a.wav'}: six\n", f"{tmp_path / 'a.wav'}: seven\n"] + 2 * [f"{tmp_path / 'long.flac'}: six\n"]
    assert program.returncode == 130
    assert "Traceback" not in err
