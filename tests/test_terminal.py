"""`asr live` over a whole terminal, seen as a user sees it: in tmux, which can be asked what stands on the screen, and in a bare one."""

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from datetime import datetime, timedelta

import pytest
import soundfile

from asr.client.captions import Final, Partial
from asr.client.requests import Requests, Stop
from asr.client.session import find_session, read_session
from asr.client.status import Status
from asr.client.terminal import Terminal
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from tests.browser import until
from tests.test_live import PATIENCE_S, PROGRAM, ROOT, SPOKEN
from tests.tmux import Tmux
from tests.tones import recording

OWN_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "                   # as a shell in a window gives one


@pytest.fixture
def spoken(tmp_path):
    """A recording: one two, a pause, three four, then nothing for two minutes."""
    soundfile.write(tmp_path / "spoken.wav", recording(SPOKEN, 120), RATE_HZ)
    return tmp_path / "spoken.wav"


def command(*arguments, before: str = "") -> list[str]:
    """`asr live` with models that hear tones, after the statements of `before`."""
    return [sys.executable, "-c", before + PROGRAM, "live", *map(str, arguments)]


def captions(lines: list[str]) -> list[str]:
    """Those of a view's lines above its status, without remarks, which are in brackets and may go over several lines."""
    text = re.sub(r"^ *\[(marked|saved|ready|paused|going|this machine|\d+\.\d s of sound)[^\]]*\]$", "", "\n".join(lines[:-1]),
                  flags=re.MULTILINE)
    return [line.strip() for line in text.split("\n") if line.strip()]


def read_until(terminal: int, condition) -> bytes:
    """What is written to a terminal until `condition` holds of it."""
    written, ends_s = b"", time.monotonic() + PATIENCE_S
    while not condition(written):
        assert select.select([terminal], [], [], max(0.0, ends_s - time.monotonic()))[0], written
        written += os.read(terminal, 4096)
    return written


@pytest.fixture
def tmux(tmp_path):
    """A terminal that can be read, with a folder of its own as the current one."""
    if not shutil.which("tmux"):
        pytest.skip("needs a terminal that can be read: apt install tmux")
    with Tmux(tmp_path) as running:
        yield running


def test_a_session_in_a_terminal(tmux, spoken, tmp_path):
    """Captions at the bottom above the status; pause, mark, save, help, scrolling, a new size, a stop and quitting, as keys say."""
    tmux.type(shlex.join(command("--input", spoken, "--keep", "--sessions", tmp_path / "kept")), "Enter")
    tmux.shows("three four", "NO SIGNAL")                    # the file is silent now
    lines = tmux.lines()
    assert len(lines) == 24
    assert captions(lines) == ["one two", "three four"]
    assert lines[-2].strip()                                 # the newest is the lowest
    assert "delay " in lines[-1]
    assert lines[-1].endswith("kept  ? keys") or " lost " in lines[-1]         # a busy machine needs room for that
    tmux.type("p")
    tmux.shows("PAUSED")
    tmux.type("p", "m")
    tmux.shows("[marked at ", "NO SIGNAL")
    tmux.type("s")
    tmux.shows("[saved as captions-")
    [saved] = tmp_path.glob("captions-*.txt")
    assert saved.read_text(encoding="utf-8").split() == ["one", "two", "three", "four"]
    tmux.type("?")
    tmux.shows("scroll back", "back to the captions")
    tmux.type("Escape")                                      # any key: the captions are back
    tmux.shows("[saved as captions-")
    tmux.type("?")
    tmux.shows("back to the captions")
    tmux.type("c")
    tmux.shows("[saved as captions-")
    tmux.resize(40, 5)
    tmux.until(lambda lines: len(lines) == 5 and "NO SIGNAL" in lines[-1] and "keys" not in lines[-1], "not laid out anew")
    tmux.type("Home")
    assert "[ready in " in "".join(tmux.shows(" newer lines below"))
    tmux.resize(80, 24)
    tmux.type("End")
    tmux.shows("[saved as captions-")
    tmux.type("c")
    tmux.until(lambda lines: captions(lines) == [] and not any("[saved as" in line for line in lines), "not cleared")
    tmux.type("PageUp")
    tmux.shows("three four")
    tmux.type("C-z")
    tmux.shows("Stopped")
    tmux.type("fg", "Enter")
    tmux.shows("three four", "? keys")
    tmux.type("q")
    lines = tmux.shows("kept in ")                           # on the first screen, the whole session
    assert [line for line in lines if line in ("one two", "three four")] == ["one two", "three four"]
    assert [line for line in lines if line.startswith(("paused", "going"))] == ["paused: nothing is shown or kept", "going on"]
    assert not any("? keys" in line for line in lines)
    session = read_session(find_session(tmp_path / "kept", "last"))
    assert [final.text for final in session.finals] == ["one two", "three four"]
    assert len(session.marks_s) == 1
    assert session.marks_s[0] > 3.8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_terminal_back(spoken, number):
    """The first screen, the cursor and the modes are as before, and what was said stands there."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    program = subprocess.Popen(command("--input", spoken), cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**os.environ, "TERM": "xterm"})
    written = read_until(ours, lambda written: b"NO SIGNAL" in written[written.find(b"three four"):] and b"three four" in written)
    assert b"\x1b[?1049h" in written                        # the last words are final by now: the file is silent
    assert termios.tcgetattr(theirs) != before
    program.send_signal(number)
    written += read_until(ours, lambda written: b"three four\r\n" in written)
    assert program.wait(timeout=PATIENCE_S) == 0
    assert termios.tcgetattr(theirs) == before
    assert written.rindex(b"\x1b[?1049l") > written.rindex(b"\x1b[?1049h")
    assert b"\x1b[?25h" in written[written.rindex(b"\x1b[?25l"):]
    assert b"one two\r\nthree four\r\n" in written[written.rindex(b"\x1b[?1049l"):]
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("view", [[], ["--plain"]])
def test_a_closed_window_costs_no_words(spoken, tmp_path, view):
    """What was being said then is kept, and the session has its end."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(command("--input", spoken, "--keep", "--sessions", tmp_path / "kept", *view, before=OWN_TERMINAL), cwd=ROOT,
                               stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}, start_new_session=True)
    os.close(theirs)
    read_until(ours, lambda written: b"three" in written)
    os.close(ours)
    program.wait(timeout=PATIENCE_S)
    kept = read_session(find_session(tmp_path / "kept", "last"))
    assert kept.finals[0].text == "one two"
    assert kept.finals[1].text.startswith("three")
    assert kept.ended


class SlowScreen:
    """In place of a terminal: one that takes its time, and on which nobody presses a key."""

    def __init__(self):
        self.keyboard, self._typing = os.pipe()
        self.written = ""

    def enter(self):
        """Nothing."""

    def leave(self):
        """No more keys."""
        os.close(self._typing)
        os.close(self.keyboard)
        return True

    def size(self):
        """A usual one."""
        return 24, 80

    def write(self, text):
        """As over a bad line."""
        time.sleep(0.3)
        self.written += text


def test_a_slow_terminal_holds_nothing_up(monkeypatch, capsys):
    """Captions and statuses are taken at once, however long drawing them takes; in the end all of them have been seen."""
    monkeypatch.setattr("asr.client.terminal.FullScreen", SlowScreen)
    terminal = Terminal(Requests(), Stop())
    terminal.status(Status("m"))
    started_s = time.monotonic()
    for n in range(100):
        terminal.show(Final((Word(f"word{n}", n, n + 1, 1.0),), n, n + 1, "pause"))
        terminal.status(Status("m"))
    assert time.monotonic() - started_s < 0.25               # less than one drawing takes
    terminal.close()
    assert capsys.readouterr().out.split() == [f"word{n}" for n in range(100)]


def test_what_came_before_the_view_is_printed_once(monkeypatch, capsys):
    """Words from before the first status are printed on leaving, remarks from then are not printed again."""
    monkeypatch.setattr("asr.client.terminal.FullScreen", SlowScreen)
    terminal = Terminal(Requests(), Stop())
    terminal.remark("ready")
    terminal.show(Partial((Word("early", 0, 1, 1.0),), 0))
    terminal.show(Final((Word("early", 0, 1, 1.0),), 0, 1, "pause"))
    terminal.remark("slow")
    terminal.status(Status("m"))
    terminal.remark("late")
    terminal.close()
    printed = capsys.readouterr()
    assert printed.out == "early\n"
    assert printed.err == "ready\nslow\nlate\n"


def test_times_count_from_when_the_sound_began(monkeypatch):
    """However late the view opens."""
    monkeypatch.setattr("asr.client.terminal.FullScreen", SlowScreen)
    monkeypatch.setattr(SlowScreen, "size", lambda _: (24, 140))
    terminal = Terminal(Requests(), Stop())
    terminal.show(Final((Word("hello", 61, 62, 1.0),), 61, 62, "pause"))
    terminal.status(Status("m", started=datetime(2026, 1, 2, 3, 4, 5).astimezone()))
    until(lambda: "03:05:06" in terminal._screen.written)
    terminal.close()


def test_a_clock_that_is_set_moves_no_remark(monkeypatch):
    """When the system's clock goes back by an hour, what is told afterwards stands at the time that it would have had."""
    class SetBack(datetime):
        @classmethod
        def now(cls, tz=None):
            """An hour ago."""
            return datetime.now(tz) - timedelta(hours=1)

    monkeypatch.setattr("asr.client.terminal.FullScreen", SlowScreen)
    monkeypatch.setattr(SlowScreen, "size", lambda _: (24, 140))
    terminal = Terminal(Requests(), Stop())
    terminal.status(Status("m", started=datetime.now().astimezone() - timedelta(minutes=5)))
    monkeypatch.setattr("asr.client.terminal.datetime", SetBack)
    terminal.remark("told late")
    until(lambda: "told late" in terminal._screen.written)
    terminal.close()
    times = [(datetime.now() - timedelta(seconds=ago)).strftime("%H:%M:%S") for ago in range(60)]
    assert any(time_of_day in terminal._screen.written for time_of_day in times)


class BrokenScreen(SlowScreen):
    """One that is gone."""

    def write(self, text):
        """As to a closed window."""
        raise OSError(5, "Input/output error")


def test_a_terminal_that_fails_ends_the_session(monkeypatch, capsys):
    """It is as if Ctrl-C were pressed, so that the last words are kept; then the error is told."""
    monkeypatch.setattr("asr.client.terminal.FullScreen", BrokenScreen)
    stop = Stop()
    terminal = Terminal(Requests(), stop)
    terminal.status(Status("m"))
    until(lambda: stop.at_s)
    terminal.show(Final((Word("last", 0, 1, 1.0),), 0, 1, "end"))
    with pytest.raises(OSError, match="Input/output error"):
        terminal.close()
    assert capsys.readouterr().out == "last\n"
