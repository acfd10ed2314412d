"""`asr transcribe`: text and files, one bad recording among good ones, nothing half written. Tones stand for words (tones.py)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asr.cli import commands
from asr.client.batch import Job, in_order
from asr.config import RATE_HZ
from asr.errors import AsrError, AudioError, DataError
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
    Path("empty").mkdir()
    status, out, err = transcribe("absent.wav", "text.wav", "nan.wav", "good.wav")
    lines = err.splitlines()
    assert (status, out) == (1, "good.wav: one two\ngood.wav: three\n")
    assert [line.split(":")[:2] for line in lines[:3]] == [["asr", f" {name}"] for name in ("absent.wav", "text.wav", "nan.wav")]
    assert lines[3:] == ["asr: 3 of 4 files could not be read, or not to their end"]
    with pytest.raises(AudioError, match="empty: no recordings in this folder"):
        transcribe("empty", "good.wav")


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


def test_a_list_of_words_with_a_fault(transcribe):
    """It is told before any work, with the file and the line; one without is taken."""
    Path("names.txt").write_text("Oslo\n???\n")
    with pytest.raises(DataError, match=r"names.txt:2: '\?\?\?' has no word"):
        transcribe("--own-words", "names.txt", "good.wav")
    Path("names.txt").write_text("Oslo\n")
    assert transcribe("--own-words", "names.txt", "good.wav") == (0, "one two\nthree\n", "")


def test_output_folder(transcribe):
    """With --output-dir, text too goes to files, in a folder that is made."""
    assert transcribe("--output-dir", "texts/here", "good.wav") == (0, "", "")
    assert Path("texts/here/good.txt").read_text() == "one two\nthree\n"


def test_recordings_that_differ_in_their_ending(transcribe):
    """The later one's file has the ending in its name; one that is named twice is done once."""
    soundfile.write("good.flac", recording([("nine", 0, 0.4)], 1), RATE_HZ)
    assert transcribe("--format", "tsv", "good.wav", "good.flac", "good.wav") == (0, "", "")
    assert "three" in Path("good.tsv").read_text()
    assert "nine" in Path("good.flac.tsv").read_text()


def test_two_recordings_of_one_name(transcribe):
    """Two recordings that would be written to one file are refused before any work."""
    for folder in ("a", "b", "c"):
        Path(folder).mkdir()
        soundfile.write(f"{folder}/good.wav", recording(SPOKEN, 5), RATE_HZ)
    with pytest.raises(AsrError, match=r"good\.wav and c/good\.wav would both be written to out/good\.wav\.srt"):
        transcribe("--format", "srt", "--output-dir", "out", "a/good.wav", "b/good.wav", "c/good.wav")
    assert not Path("out").exists()


def test_a_truncated_file_keeps_its_words(transcribe):
    """The words of what is there are written, and the status says that something is missing."""
    Path("good.wav").write_bytes(Path("good.wav").read_bytes()[:3 * RATE_HZ * 2])
    status, out, err = transcribe("good.wav")
    assert (status, out) == (1, "one two\n")
    assert "cut short after 3.0 of 5.0 s" in err
    for _ in range(2):                                       # the second time too: it is not done
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


def make_archive() -> None:
    """A folder of recordings in two levels, with things that are none."""
    Path("archive/day two").mkdir(parents=True)
    Path("archive/.trash").mkdir()
    for name, word in (("b.wav", "four"), ("A.FLAC", "five"), ("day two/b.wav", "six"), (".trash/c.wav", "nine")):
        soundfile.write(Path("archive") / name, recording([(word, 0.2, 0.6)], 1), RATE_HZ)
    Path("archive/notes.txt").write_text("no recording")


def test_a_folder_goes_on_where_it_stopped(transcribe):
    """All recordings below a folder, in the same folders of the output; what is written is left alone until it is asked for again."""
    make_archive()
    assert transcribe("--output-dir", "texts", "archive")[0] == 0
    texts = {str(path.relative_to("texts")): path.read_text() for path in Path("texts").rglob("*.txt")}
    assert texts == {"A.txt": "five\n", "b.txt": "four\n", "day two/b.txt": "six\n"}
    Path("texts/b.txt").write_text("corrected by hand\n")
    os.utime("archive/A.FLAC", (4e9, 4e9))                    # recorded anew
    status, _out, err = transcribe("--output-dir", "texts", "archive")
    assert (status, err) == (0, "asr: 2 of 3 files were written already; --again writes them anew\n")
    assert Path("texts/b.txt").read_text() == "corrected by hand\n"
    assert transcribe("--output-dir", "texts", "--again", "archive") == (0, "", "")
    assert Path("texts/b.txt").read_text() == "four\n"


def run_program(folder, *arguments) -> subprocess.Popen:
    """`asr transcribe` with the tones' models, also in its worker processes."""
    script = folder / "program.py"
    models, main = PROGRAM.rsplit("; ", 2)[0], "from asr.cli import main; main()"
    script.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{models}\nif __name__ == '__main__':\n    {main}\n")
    return subprocess.Popen([sys.executable, script, "transcribe", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def test_several_processes(transcribe, tmp_path):
    """With --jobs the same text comes in the same order; bad files are told, and do not stop the others."""
    make_archive()
    Path("archive/bad.wav").write_text("no audio")
    soundfile.write("cut.wav", recording(SPOKEN, 5), RATE_HZ)
    Path("cut.wav").write_bytes(Path("cut.wav").read_bytes()[:3 * RATE_HZ * 2])
    out, err = (program := run_program(tmp_path, "--jobs", "2", "archive", "good.wav", "cut.wav")).communicate(timeout=120)
    assert out.splitlines() == ["archive/A.FLAC: five", "archive/b.wav: four", "archive/day two/b.wav: six", "good.wav: one two",
                                "good.wav: three", "cut.wav: one two"]
    assert (program.returncode, len(err.splitlines())) == (1, 3)
    assert "bad.wav" in err
    assert "cut.wav: cut short after 3.0 of 5.0 s" in err
    assert err.endswith("asr: 2 of 6 files could not be read, or not to their end\n")


def test_jobs_that_end_in_any_order():
    """Their texts come in the order of the files, each as soon as it can; what follows the progress is told of each that ends, at once."""
    jobs, told = [Job(Path(name), None) for name in "abc"], []
    texts = in_order(jobs, iter([(1, "B", ""), (0, "A", "cut short"), (2, "C", "")]), told.append)
    assert next(texts) == (jobs[0], "A", "cut short")
    assert told == [jobs[1], jobs[0]]
    assert list(texts) == [(jobs[1], "B", ""), (jobs[2], "C", "")]


def test_several_processes_without_a_bundle(tmp_path):
    """What is wrong with the bundle is one line."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", recording(SPOKEN, 5), RATE_HZ)
    done = subprocess.run([sys.executable, "-m", "asr", "transcribe", "--jobs", "2", "--bundle", tmp_path / "absent", tmp_path / "a.wav",
                           tmp_path / "b.wav"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"asr: no bundle at {tmp_path / 'absent'}: check the path (a folder with bundle.json, or an .asr file)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_that_are_stopped(transcribe, tmp_path, number):
    """Ctrl-C, and a worker that is killed: whole files or none, one line, and the same command does the rest."""
    sound = recording([("six", 20, 20.4)], 40)
    for name in ("long1.flac", "long2.flac"):
        with soundfile.SoundFile(name, "w", RATE_HZ, 1) as file:
            for _ in range(200):
                file.write(sound)
    program = run_program(tmp_path, "--jobs", "2", "--format", "srt", "good.wav", "long1.flac", "long2.flac")
    while not Path("good.srt").exists():
        assert program.poll() is None, program.stderr.read()
        time.sleep(0.05)
    workers = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    os.kill(program.pid if number == signal.SIGINT else int(workers[-1]), number)
    _out, err = program.communicate(timeout=60)
    assert "Traceback" not in err
    assert program.returncode == (130 if number == signal.SIGINT else 1)
    assert number == signal.SIGINT or "a process was killed" in err
    left = sorted(name for name in os.listdir() if name.startswith((".", "long", "good")))
    assert [name for name in left if name.endswith(".part")] == []
    assert "good.srt" in left
