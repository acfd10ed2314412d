"""What `asr live` keeps: each final before it is shown, the sound if asked for, whatever ends the program; and `asr sessions`."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from asr.client.recording import read_parts
from asr.client.session import SessionFile, find_session, find_sessions, read_session
from asr.config import RATE_HZ
from tests.test_live import PROGRAM, ROOT, SPOKEN
from tests.test_session_files import final
from tests.tones import recording

TONES = "import asr.client.models as m, tests.tones as t; import asr.client.recognizer as r; r.load_models = lambda *_: t.tone_models(); "


@pytest.fixture
def spoken(tmp_path):
    """A recording: one two, a pause, three four."""
    soundfile.write(tmp_path / "spoken.wav", recording(SPOKEN, 4), RATE_HZ)
    return tmp_path / "spoken.wav"


@pytest.fixture
def asr(tmp_path):
    """Starts `asr` with models that hear tones, after the statements of `before`; sessions lie in tmp_path/data/kept."""
    started = []

    def start(command, *arguments, before: str = "") -> subprocess.Popen:
        words = [command, "--sessions", tmp_path / "data" / "kept", *arguments]
        started.append(subprocess.Popen([sys.executable, "-c", before + TONES + PROGRAM, *map(str, words)], cwd=ROOT,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for program in started:
        program.kill()
        with program:
            pass


def done(program: subprocess.Popen, status: int = 0) -> tuple[str, str]:
    """Standard output and error of a program that ends with `status`."""
    out, err = program.communicate(timeout=60)
    assert program.returncode == status, err
    assert "Traceback" not in err
    return out, err


def test_a_session_is_kept_listed_shown_and_exported(asr, spoken):
    """From a session to its files: every utterance at its time, subtitles that parse, and the end noted."""
    done(asr("live", "--keep", "--input", spoken))
    listed, _ = done(asr("sessions"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}   0:00:04       4 words  .*spoken\.wav\n", listed)
    shown, _ = done(asr("sessions", "show"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d  one two\n\d\d:\d\d:\d\d  three four\n", shown)
    target = spoken.with_name("out.srt")
    done(asr("sessions", "export", listed[:10], "--format", "srt", "--output", target))
    assert "three four" in target.read_text()
    words = json.loads(done(asr("sessions", "export", "last", "--format", "json"))[0])["words"]
    assert [word["text"] for word in words] == ["one", "two", "three", "four"]
    assert [word["start_s"] for word in words] == pytest.approx([start for _, start, _ in SPOKEN], abs=0.05)


def test_a_file_is_kept_only_when_asked(asr, spoken, tmp_path):
    """Captions of a file leave nothing behind."""
    done(asr("live", "--input", spoken))
    assert not (tmp_path / "data" / "kept").exists()
    _, err = done(asr("sessions"))
    assert err.startswith("no sessions in ")
    _, err = done(asr("sessions", "show"), 1)
    assert err == f"asr: {tmp_path / 'data' / 'kept'} holds no session last; asr sessions lists those that there are\n"


def test_a_killed_program_loses_no_final_and_no_sound(asr, spoken, tmp_path):
    """After kill -9 all that was shown is in the file, and the sound up to half a second before."""
    soundfile.write(spoken, recording([*SPOKEN, ("five", 30, 30.5)], 40), RATE_HZ)
    program = asr("live", "--record", "--input", spoken)
    assert [program.stdout.readline(), program.stdout.readline()] == ["one two\n", "three four\n"]
    program.send_signal(signal.SIGKILL)
    program.wait(timeout=10)
    session = read_session(find_session(tmp_path / "data" / "kept", "last"))
    assert [final.text for final in session.finals] == ["one two", "three four"]
    assert session.ended is None
    assert "(recorded; cut off, or still running)" in done(asr("sessions"))[0]
    heard = np.concatenate(list(read_parts(session.audio)))
    expected = recording(SPOKEN, 40)[:len(heard)]
    assert len(heard) > 4.0 * RATE_HZ                        # the pause that made the last final is in it
    assert np.abs(heard - expected).max() < 1e-3


def test_recorded_sound_is_recognised_once_more(asr, spoken, tmp_path):
    """A session made anew from its sound has the same words at the same times; one without sound says so."""
    done(asr("live", "--record", "--input", spoken))
    again, _ = done(asr("sessions", "retranscribe"))
    first, second = (read_session(path) for path in find_sessions(tmp_path / "data" / "kept"))
    assert second.name == again.strip()
    assert [word.text for word in second.words] == [word.text for word in first.words] == ["one", "two", "three", "four"]
    assert [word.start_s for word in second.words] == pytest.approx([word.start_s for word in first.words], abs=0.05)
    _, err = done(asr("sessions", "retranscribe", again.strip()), 1)
    assert "has no recorded sound" in err


def test_a_folder_that_cannot_be_written(asr, spoken, tmp_path):
    """Captions go on, with one line that says what to do; where the sound was asked for, the program does not start."""
    (tmp_path / "data").write_text("a file in the way")
    out, err = done(asr("live", "--keep", "--input", spoken))
    assert out == "one two\nthree four\n"
    assert len([line for line in err.splitlines() if line.startswith("asr: ")]) == 1
    assert "say with --sessions where to keep them" in err
    out, err = done(asr("live", "--record", "--input", spoken), 1)
    assert (out, err.count("\n")) == ("", 1)


def test_a_disk_that_fills_up_under_a_program(asr, spoken, tmp_path):
    """Captions go on, one line says what to do and one at the end what is missing; what got onto the disk whole can be read."""
    nothing = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    out, err = done(asr("live", "--keep", "--input", spoken, before=nothing))
    assert (out, err.count("asr: ")) == ("one two\nthree four\n", 2)
    assert list((tmp_path / "data" / "kept").iterdir()) == []
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)); "            # the head and one utterance
    out, err = done(asr("live", "--keep", "--input", spoken, before=full))
    assert out == "one two\nthree four\n"
    session = read_session(find_session(tmp_path / "data" / "kept", "last"))
    assert [line for line in err.splitlines() if line.startswith("asr: ")] == [
        f"asr: {session.path}: File too large; captions go on and are written as soon as that is possible: make room, or say with "
        "--sessions where to keep them",
        f"asr: {session.path}: the captions since then could not be written to the end: they were shown, and are not kept"]
    assert [final.text for final in session.finals] == ["one two"]


def test_marks(asr, tmp_path):
    """A mark is listed and shown at its time, and exports do without; a line of a kind that is still to come does no harm."""
    session = SessionFile(tmp_path / "data" / "kept", "a microphone", "tones", print)
    session.add(final("one two"))
    session.add_mark(2.5)
    session.add(final("three", 4.0))
    session._write({"something": "new"})
    session.close()
    read = read_session(session.path)
    assert (read.marks_s, read.damaged, len(read.finals)) == ((2.5,), 0, 2)
    assert "(1 mark)" in done(asr("sessions"))[0]
    assert [line[10:] for line in done(asr("sessions", "show"))[0].splitlines()] == ["one two", "* marked", "three"]
    assert done(asr("sessions", "export"))[0].split() == ["one", "two", "three"]


def test_a_final_is_on_the_disk_before_it_is_shown(asr, spoken, tmp_path):
    """When a line appears on the screen, the file has it already."""
    program = asr("live", "--keep", "--input", spoken)
    assert program.stdout.readline() == "one two\n"
    assert [final.text for final in read_session(find_session(tmp_path / "data" / "kept", "last")).finals] == ["one two"]
    done(program)
