"""A terminal as a whole: taken where it can be, given back whatever has become of it."""

import contextlib
import os
import pty
import termios
import time
from types import SimpleNamespace

import pytest

from asr.client.full_screen import FullScreen, usable


@contextlib.contextmanager
def unread(monkeypatch):
    """A terminal that nobody reads, as standard input and output. Not a fixture: pytest sets its own output before a test's body."""
    ours, theirs = pty.openpty()
    with open(theirs, "r+b", buffering=0) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stdout", SimpleNamespace(fileno=terminal.fileno, encoding="utf-8"))
        yield SimpleNamespace(name=os.ttyname(theirs), modes=lambda: termios.tcgetattr(theirs), close=lambda: os.close(ours))


def test_a_stuck_terminal_is_left(monkeypatch):
    """One that takes nothing any more is not waited for; its modes are as before."""
    with unread(monkeypatch) as terminal:
        before = terminal.modes()
        screen = FullScreen()
        screen.enter()
        filler = os.open(terminal.name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        for _ in range(20):                                  # the system makes room once more, a little later
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(filler, b"x" * 1000)
            time.sleep(0.02)
        os.close(filler)
        assert not screen.leave()
        assert terminal.modes() == before
        terminal.close()


def test_a_terminal_that_has_gone_is_left(monkeypatch):
    """Leaving it is no error; entering it is one that the system has a name for."""
    with unread(monkeypatch) as terminal:
        screen = FullScreen()
        screen.enter()
        terminal.close()
        assert not screen.leave()
        with pytest.raises(OSError, match="Input/output error"):
            screen.enter()


@pytest.mark.parametrize(("term", "output", "whole"),
                         [("xterm", True, True), ("dumb", True, False), ("", True, False), ("xterm", False, False)])
def test_where_there_is_no_terminal_there_are_lines(monkeypatch, term, output, whole):
    """The view needs a terminal for what it shows and for its keys, and one that can move its cursor."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: output))
    assert usable() == whole
