"""A progress bar on standard error, for files that take long; nothing where that is no terminal."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

CLEAR = "\r\x1b[2K"
FIRST_S, EVERY_S = 0.5, 0.2          # short files show none


class Progress:
    """One line that is rewritten: name, bar, share done, time left. `clear` it before other output."""

    def __init__(self):
        self._visible = sys.stderr.isatty()
        self._drawn = False

    def over(self, blocks: Iterable[np.ndarray], rate_hz: float, duration_s: float | None, name: str) -> Iterator[np.ndarray]:
        """The blocks, (n,) each, while the bar follows them."""
        started_s, drawn_s, done_s = time.monotonic(), time.monotonic() - EVERY_S + FIRST_S, 0.0
        for block in blocks:
            yield block
            done_s += len(block) / rate_hz
            now_s = time.monotonic()
            if self._visible and now_s - drawn_s >= EVERY_S:
                self._draw(name, done_s, duration_s, now_s - started_s)
                drawn_s = now_s
        self.clear()

    def of_files(self, paths: Sequence[Path]) -> Callable[[Path], None]:
        """Follow files that are done at once, by their sizes: call what is returned with each that ends."""
        sizes = {path: path.stat().st_size if path.is_file() else 0 for path in paths}
        started_s, total, done = time.monotonic(), sum(sizes.values()), []

        def advance(path: Path):
            done.append(sizes[path])
            if self._visible and total:
                self._draw(f"{len(done)}/{len(paths)} files", sum(done), total, time.monotonic() - started_s)
        if self._visible:
            self._draw(f"0/{len(paths)} files", 0, total, 0.0)
        return advance

    def clear(self):
        """Remove the line."""
        if self._drawn:
            print(CLEAR, end="", file=sys.stderr, flush=True)
            self._drawn = False

    def _draw(self, name: str, done: float, whole: float | None, took_s: float):
        """`done` of the `whole`, in seconds of sound or in bytes; only seconds are shown where the whole is not known."""
        if whole:
            share = min(1.0, done / whole)
            filled = round(20 * share)
            left = clock(took_s * (1 - share) / share) if share else "?"
            state = f"[{'#' * filled}{'.' * (20 - filled)}] {100 * share:3.0f} %  {left} left"
        else:
            state = f"{clock(done)} done"
        room = max(8, shutil.get_terminal_size().columns - len(state) - 3)
        print(f"{CLEAR}{name if len(name) <= room else '…' + name[1 - room:]}  {state}", end="", file=sys.stderr, flush=True)
        self._drawn = True


def clock(seconds: float) -> str:
    """3725 -> 1:02:05, 65 -> 1:05."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
