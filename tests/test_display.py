"""The terminal: partials rewritten on one line, finals kept; a pipe gets finals alone."""

import io
import os
import re

import pytest

from asr.client.captions import Final, Partial
from asr.client.display import Display
from asr.decoding.hypothesis import Word


class Terminal(io.StringIO):
    def isatty(self):
        """It says that it is one."""
        return True

    def lines(self) -> list[str]:
        """What stands on the screen, colours removed."""
        out = [""]
        for part in re.split(r"(\r\x1b\[2K|\n)", re.sub(r"\x1b\[\d+m", "", self.getvalue())):
            if part == "\n":
                out.append("")
            elif part.startswith("\r"):
                out[-1] = ""
            else:
                out[-1] += part
        return out


@pytest.fixture
def forty_columns(monkeypatch):
    """A narrow terminal."""
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((40, 24)))


def partial(text: str, committed: int = 0) -> Partial:
    """A partial of these words."""
    return Partial(tuple(Word(word, 0, 1, 1) for word in text.split()), committed)


def final(text: str) -> Final:
    """A final of these words."""
    return Final(tuple(Word(word, 0, 1, 1) for word in text.split()), 0, 1, "pause")


@pytest.mark.usefixtures("forty_columns")
def test_partials_are_rewritten():
    """Each partial takes the place of the one before, the final that of all; what is still open is dim."""
    screen = Terminal()
    display = Display(screen, screen)
    for text in ("the", "the bat", "the cat sat"):
        display.show(partial(text, committed=1))
        assert screen.lines() == [text]
    assert screen.getvalue().endswith("the \x1b[2mcat sat\x1b[22m")
    display.show(final("the cat sat"))
    display.show(partial("on"))
    assert screen.lines() == ["the cat sat", "on"]
    display.close()
    assert screen.lines() == ["the cat sat", ""]


@pytest.mark.usefixtures("forty_columns")
@pytest.mark.parametrize("committed", [0, 3, 12, 30])
def test_a_long_partial_keeps_to_one_line(committed):
    """A partial wider than the terminal shows its newest words, so that a line is always rewritten as a whole."""
    screen = Terminal()
    text = " ".join(f"word{n}" for n in range(30))
    Display(screen, screen).show(partial(text, committed))
    (line,) = screen.lines()
    assert len(line) == 39
    assert line[0] == "…"
    assert text.endswith(line[1:])


@pytest.mark.usefixtures("forty_columns")
def test_a_long_final_is_wrapped_between_words():
    """A final wider than the terminal is broken between words and complete."""
    screen = Terminal()
    text = " ".join(f"word{n}" for n in range(30))
    Display(screen, screen).show(final(text))
    assert max(map(len, screen.lines())) < 40
    assert " ".join(screen.lines()).split() == text.split()


def test_a_remark_leaves_the_partial():
    """A remark gets a line of its own above the partial."""
    screen = Terminal()
    display = Display(screen, screen)
    display.show(partial("the cat"))
    display.remark("too slow")
    assert screen.lines() == ["too slow", "the cat"]


def test_a_pipe_gets_finals_alone():
    """Without a terminal there are no partials and no control characters, and an empty final is no line."""
    out, err = io.StringIO(), io.StringIO()
    display = Display(out, err)
    for caption in (partial("the"), final("the cat"), partial("s"), final(""), final("sat")):
        display.show(caption)
    display.remark("remark")
    display.close()
    assert (out.getvalue(), err.getvalue()) == ("the cat\nsat\n", "remark\n")
