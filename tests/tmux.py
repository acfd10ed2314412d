"""A terminal that tests can type into and read: a tmux of its own."""

import subprocess
import tempfile
import time
from pathlib import Path

from tests.test_live import PATIENCE_S, ROOT


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
