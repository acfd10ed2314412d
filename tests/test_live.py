"""`asr live` as a process: captions of a file at speaking pace, signals, pipes. Tones stand for words (tones.py)."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import soundfile

from asr.client.session import find_session, read_session
from asr.config import RATE_HZ
from tests.tones import recording

ROOT = Path(__file__).parents[1]
PROGRAM = "import asr.client.models as m, tests.tones as t; m.load_models = lambda **_: t.tone_models(); from asr.cli import main; main()"
SPOKEN = [("one", 0.4, 0.8), ("two", 0.88, 1.2), ("three", 2.8, 3.2), ("four", 3.28, 3.8)]
NO_SOUND = "import sounddevice as s; s.query_devices = lambda: s.DeviceList(); "
PATIENCE_S = 60                      # a busy machine is slow; nothing here waits for so long on one that is not


@contextlib.contextmanager
def patience(program: subprocess.Popen) -> Iterator[None]:
    """Ends a program that does not get through this in time: no test waits for ever for what it does not say."""
    watch = threading.Timer(PATIENCE_S, program.kill)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def told(err: str) -> list[str]:
    """The lines on standard error, aside from remarks on a busy machine and on a microphone's silence before anything is played."""
    return [line for line in err.splitlines() if "cannot keep up" not in line and not line.startswith("no signal from ")]


def next_told(err: TextIO) -> str:
    """The next of those lines; nothing at its end."""
    return next((line for line in err if told(line)), "")


@pytest.fixture
def live():
    """Starts `asr live`, after the statements of `before`; ends what a test leaves running."""
    started = []

    def start(*arguments, stdout=subprocess.PIPE, before: str = "") -> subprocess.Popen:
        started.append(subprocess.Popen([sys.executable, "-c", before + PROGRAM, "live", *map(str, arguments)], cwd=ROOT,
                                        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for program in started:
        program.kill()
        with program:                # closes its pipes and waits
            pass


@pytest.fixture
def spoken(tmp_path):
    """A recording: one two, a pause, three four."""
    soundfile.write(tmp_path / "spoken.wav", recording(SPOKEN, 4), RATE_HZ)
    return tmp_path / "spoken.wav"


def test_a_file_at_speaking_pace(live, spoken):
    """Each utterance is a line in the pipe as soon as it is final, the last as well; the file takes as long as it lasts."""
    started_s = time.monotonic()
    program = live("--input", spoken)
    assert program.stdout.readline() == "one two\n"
    assert program.poll() is None                            # the rest is still to be spoken
    out, err = program.communicate(timeout=60)
    assert out == "three four\n"
    assert time.monotonic() - started_s > 3.8
    assert program.returncode == 0
    assert re.fullmatch(rf"ready in \d+\.\d s, listening to {re.escape(str(spoken))}; Ctrl-C ends\n", err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_last_words(live, spoken, number):
    """Stopped before an utterance is final, it shows what was said until then and ends with status 0, without a traceback."""
    soundfile.write(spoken, recording([*SPOKEN, ("five", 59, 59.5)], 60), RATE_HZ)
    program = live("--input", spoken)
    assert program.stdout.readline() == "one two\n"
    time.sleep(1.6)                                          # after three and four, within the pause that ends them
    program.send_signal(number)
    out, err = program.communicate(timeout=40)
    assert out == "three four\n"
    assert program.returncode == 0
    assert err.count("\n") == 1


def test_a_terminal_shows_partials(live, spoken):
    """On a terminal, words appear before their utterance is final, on a line that is rewritten."""
    ours, theirs = pty.openpty()
    program = live("--input", spoken, stdout=theirs)
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(1000):
                shown += part
        except OSError:                                      # the other side has closed: the end of a terminal
            pass
    assert program.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[\d;]*m", "", shown.decode())
    first, second = text.index("one"), text.index("one two\r\n")
    assert first < second
    assert "\r\x1b[2K" in text[first:second]
    assert text.rstrip().endswith("three four")


def test_a_terminal_that_goes(live, spoken, tmp_path):
    """Lines to a window that was closed: what was being said then is kept, and the session has its end."""
    soundfile.write(spoken, recording(SPOKEN, 60), RATE_HZ)
    ours, theirs = pty.openpty()
    program = live("--input", spoken, "--keep", "--sessions", tmp_path / "kept", stdout=theirs)
    os.close(theirs)
    with patience(program), open(ours, "rb", buffering=0) as terminal:
        shown = b""
        while b"three" not in shown:
            shown += terminal.read(1000)
    program.wait(timeout=PATIENCE_S)
    kept = read_session(find_session(tmp_path / "kept", "last"))
    assert kept.finals[0].text == "one two"
    assert kept.finals[1].text.startswith("three")
    assert kept.ended


def test_a_reader_that_leaves(live, spoken):
    """`asr live | head -1` ends without a traceback."""
    program = live("--input", spoken)
    program.stdout.readline()
    program.stdout.close()
    program.wait(timeout=60)
    assert "Traceback" not in program.stderr.read()


def test_no_microphone(live):
    """Without a microphone: one line that says what to do, status 1."""
    program = live(before=NO_SOUND)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (1, "")
    assert err == "asr: no microphone found; plug one in, or caption a file with: asr live --input FILE\n"


def test_a_recording_in_place_of_a_microphone(live, spoken):
    """With --or-recording it says that there is no microphone and captions the recording."""
    program = live("--or-recording", spoken, before=NO_SOUND)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (0, "one two\nthree four\n")
    assert err.splitlines()[0].startswith("asr: no microphone found")
    assert err.splitlines()[1] == f"captions of {spoken} instead:"


def test_list_devices_without_any(live):
    """An empty list is told as such."""
    program = live("--list-devices", before=NO_SOUND)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (1, "")
    assert err.startswith("asr: no microphone found")


@pytest.mark.parametrize(("name", "content"), [("absent.wav", None), ("text.wav", b"no audio"), ("empty.wav", b"")])
def test_an_input_that_is_no_audio(live, tmp_path, name, content):
    """One line and status 1."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    program = live("--input", tmp_path / name)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"asr: {tmp_path / name}: ")


def test_an_input_damaged_part_way(live, spoken):
    """The words before the damage are shown, then one line, status 1."""
    spoken.write_bytes(spoken.read_bytes()[:3 * RATE_HZ])
    program = live("--input", spoken)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (1, "one two\n")
    assert err.splitlines()[-1].startswith(f"asr: {spoken}: cut short after 1.5 of 4.0 s")


def test_a_program_that_was_stopped_catches_up(live, spoken):
    """Without the CPU for 5 s while the sound goes on, nothing is lost, and captions are soon as close behind the sound as before."""
    seconds = 14
    words = [*SPOKEN, ("five", 5.2, 5.6), ("six", 5.68, 6.2), ("seven", 11, 11.4), ("eight", 11.48, 12)]
    soundfile.write(spoken, recording(words, seconds), RATE_HZ)
    program = live("--input", spoken)
    with patience(program):
        assert program.stderr.readline().startswith("ready in ")
        started_s = time.monotonic()                         # the sound has been on for a moment
        assert program.stdout.readline() == "one two\n"
        program.send_signal(signal.SIGSTOP)
        time.sleep(5)
        program.send_signal(signal.SIGCONT)
        lines = [(program.stdout.readline(), time.monotonic() - started_s) for _ in range(3)]
    out, err = program.communicate(timeout=PATIENCE_S)
    ended_s = time.monotonic() - started_s
    assert [line for line, _ in lines] == ["three four\n", "five six\n", "seven eight\n"]
    assert lines[2][1] < 12 + 3                              # a lag that stayed would be one of 5 s
    assert ended_s < seconds + 3
    assert (program.returncode, out, told(err)) == (0, "", [])
    assert "dropped" not in err
