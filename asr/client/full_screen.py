"""A terminal as a whole: its second screen, keys that come one by one, and everything back as it was afterwards. POSIX alone."""

import contextlib
import errno
import os
import select
import sys

try:
    import termios
    import tty
except ImportError:                  # Windows
    termios = None

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"                        # the second screen; no cursor; empty
LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
STUCK_S = 0.5                                                # a terminal that takes nothing for so long is not waited for


def usable() -> bool:
    """Whether standard input and output are a terminal that can do this."""
    return (termios is not None and os.environ.get("TERM", "dumb") not in ("", "dumb")
            and all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)))


class FullScreen:
    """Takes standard input and output in `enter` and gives them back in `leave`, as often as asked."""

    def __init__(self):
        self.keyboard, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._encoding = sys.stdout.encoding
        self._modes: list | None = None                      # as they were before

    def enter(self):
        """Keys come at once and are not echoed. Ctrl-S does not freeze the screen: who reads captions must not lose them unawares.

        Raises OSError when the terminal has gone.
        """
        try:
            self._modes = termios.tcgetattr(self.keyboard)
            tty.setcbreak(self.keyboard, termios.TCSANOW)
            modes = termios.tcgetattr(self.keyboard)
            modes[0] &= ~termios.IXON
            termios.tcsetattr(self.keyboard, termios.TCSANOW, modes)
        except termios.error as error:                       # which is no OSError
            raise OSError(*error.args) from None
        self.write(ENTER)

    def leave(self) -> bool:
        """The first screen and the modes from before; whether the terminal took that, which one that is gone or stuck does not."""
        modes, self._modes = self._modes, None
        if not modes:
            return False
        try:
            if not select.select([], [self._out], [], STUCK_S)[1]:
                return False
            self.write(LEAVE)
            return True
        except OSError:
            return False
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.keyboard, termios.TCSANOW, modes)

    def size(self) -> tuple[int, int]:
        """Rows and columns; 24 and 80 where the terminal does not say."""
        size = os.get_terminal_size(self._out)
        return max(2, size.lines or 24), max(10, size.columns or 80)

    def read(self) -> bytes:
        """What was typed; at least a byte. Raises OSError when the terminal has gone."""
        data = os.read(self.keyboard, 1024)
        if not data:
            raise OSError(errno.EIO, "the terminal has gone")
        return data

    def write(self, text: str):
        """All of it."""
        rest = memoryview(text.encode(self._encoding, "replace"))
        while rest:
            rest = rest[os.write(self._out, rest):]
