"""`asr live` over a whole terminal, seen as a user sees it: in tmux, which can be asked what stands on the screen, and in a bare one."""

import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from asr.client.captions import Final
from asr.client.full_screen import usable
from asr.client.requests import Requests
from asr.client.session import find_session, read_session
from asr.client.status import Status
from asr.client.terminal import Terminal
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from tests.test_live import PROGRAM, ROOT, SPOKEN
from tests.tones import recording

PATIENCE_S = 60                      # a busy machine is slow; nothing here waits for so long on one that is not


@pytest.fixture
def spoken(tmp_path):
    """A recording: one two, a pause, three four, then nothing for two minutes."""
    soundfile.write(tmp_path / "spoken.wav", recording(SPOKEN, 120), RATE_HZ)
    return tmp_path / "spoken.wav"


def command(*arguments) -> list[str]:
    """`asr live` with models that hear tones."""
    return [sys.executable, "-c", PROGRAM, "live", *map(str, arguments)]


class Tmux:
    """A terminal of 80 x 24 with a shell in it; use it in `with`."""

    def __init__(self, folder: Path):
        self._socket = tempfile.mktemp(prefix="tmux")        # short: a socket's path has 107 characters at most
        self._do("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(folder),
                 "-e", f"PYTHONPATH={ROOT}", "-e", "PS1=$ ", "bash", "--norc")

    def _do(self, *words: str) -> str:
        return subprocess.run(["tmux", "-S", self._socket, *words], check=True, capture_output=True, text=True).stdout

    def __enter__(self) -> "Tmux":
        return self

    def __exit__(self, *_exc):
        self._do("kill-server")

    def type(self, *keys: str):
        """Press keys: characters, or tmux's names of others."""
        self._do("send-keys", *keys)

    def resize(self, columns: int, rows: int):
        """Change the terminal's size."""
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [line.rstrip() for line in self._do("capture-pane", "-p").split("\n")[:-1]]

    def shows(self, *texts: str) -> list[str]:
        """Wait until all of these are on the screen; what is there then."""
        return self.until(lambda lines: all(any(text in line for line in lines) for text in texts), f"no {texts}")

    def until(self, condition, complaint: str) -> list[str]:
        """Wait until the screen is so; what is there then."""
        ends_s = time.monotonic() + PATIENCE_S
        while not condition(lines := self.lines()):
            assert time.monotonic() < ends_s, "\n".join([complaint, *lines])
            time.sleep(0.1)
        return lines


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
    assert [line.strip() for line in lines[-3:-1]] == ["one two", "three four"]
    assert "delay " in lines[-1]
    assert lines[-1].endswith("kept  ? keys")
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
    tmux.type("c")                                           # any key: the captions are back
    tmux.resize(40, 5)
    tmux.until(lambda lines: len(lines) == 5 and "NO SIGNAL" in lines[-1] and "keys" not in lines[-1], "not laid out anew")
    tmux.type("Home")
    assert "[ready in " in "".join(tmux.shows(" newer lines below"))
    tmux.type("End", "c")
    tmux.until(lambda lines: lines[:4] == [""] * 4, "not cleared")
    tmux.resize(80, 24)
    tmux.type("PageUp")
    tmux.shows("three four")
    tmux.type("C-z")
    tmux.shows("Stopped")
    tmux.type("fg", "Enter")
    tmux.shows("three four", "? keys")
    tmux.type("q")
    lines = tmux.shows("kept in ")                           # on the first screen, the whole session
    assert [line for line in lines if line in ("one two", "three four")] == ["one two", "three four"]
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
    written = b""
    while b"three four" not in written:                      # the final: the partial's words have codes between them
        written += os.read(ours, 4096)
    assert b"\x1b[?1049h" in written
    assert termios.tcgetattr(theirs) != before
    program.send_signal(number)
    while b"three four\r\n" not in written:
        written += os.read(ours, 4096)
    assert program.wait(timeout=PATIENCE_S) == 0
    assert termios.tcgetattr(theirs) == before
    assert written.rindex(b"\x1b[?1049l") > written.rindex(b"\x1b[?1049h")
    assert b"\x1b[?25h" in written[written.rindex(b"\x1b[?25l"):]
    assert b"one two\r\nthree four\r\n" in written[written.rindex(b"\x1b[?1049l"):]
    os.close(ours)
    os.close(theirs)


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
    terminal = Terminal(Requests())
    terminal.status(Status("m"))
    started_s = time.monotonic()
    for n in range(100):
        terminal.show(Final((Word(f"word{n}", n, n + 1, 1.0),), n, n + 1, "pause"))
        terminal.status(Status("m"))
    assert time.monotonic() - started_s < 0.25               # less than one drawing takes
    terminal.close()
    assert capsys.readouterr().out.split() == [f"word{n}" for n in range(100)]


class BrokenScreen(SlowScreen):
    """One that is gone."""

    def write(self, text):
        """As to a closed window."""
        raise OSError(5, "Input/output error")


def test_a_terminal_that_fails_ends_the_session(monkeypatch, capsys):
    """It is as if Ctrl-C were pressed, so that the last words are kept; then the error is told."""
    monkeypatch.setattr("asr.client.terminal.FullScreen", BrokenScreen)
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        terminal = Terminal(Requests())
        terminal.status(Status("m"))
        assert asked.wait(PATIENCE_S)
        terminal.show(Final((Word("last", 0, 1, 1.0),), 0, 1, "end"))
        with pytest.raises(OSError, match="Input/output error"):
            terminal.close()
        assert capsys.readouterr().out == "last\n"
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("term", "output", "whole"),
                         [("xterm", True, True), ("dumb", True, False), ("", True, False), ("xterm", False, False)])
def test_where_there_is_no_terminal_there_are_lines(monkeypatch, term, output, whole):
    """The view needs a terminal for what it shows and for its keys, and one that can move its cursor."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: output))
    assert usable() == whole
