"""Captions in a terminal: the partial on one line, rewritten in place, then the final; in a pipe: a line for each final."""

import shutil
import sys
import textwrap
from typing import TextIO

from asr.client.captions import Final, Partial

CLEAR = "\r\x1b[2K"
DIM, NORMAL = "\x1b[2m", "\x1b[22m"


class Display:
    """Shows captions on `out` and remarks on `err`. A partial is cut at the left to fit one line, so that it can be rewritten."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None):
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._live = self._out.isatty()
        self._partial = ""           # what stands on the line that is rewritten

    def show(self, caption: Partial | Final):
        """Show a caption; partials only on a terminal."""
        if isinstance(caption, Final):
            self._finish(caption.text)
        elif self._live:
            self._rewrite(caption)

    def remark(self, text: str):
        """A line for the user that is no caption."""
        if self._live and self._partial:
            print(CLEAR, end="", file=self._out, flush=True)
        print(text, file=self._err, flush=True)
        if self._live and self._partial:
            print(self._partial, end="", file=self._out, flush=True)

    def close(self):
        """Remove the partial."""
        if self._live and self._partial:
            print(CLEAR, end="", file=self._out, flush=True)
            self._partial = ""

    def _finish(self, text: str):
        self.close()
        if not text:                 # the full-context pass found no words where the partial had some
            return
        if self._live:
            text = textwrap.fill(text, max(20, shutil.get_terminal_size().columns - 1))
        print(text, file=self._out, flush=True)

    def _rewrite(self, partial: Partial):
        settled = "".join(word.text + " " for word in partial.words[:partial.committed])
        text = (settled + " ".join(word.text for word in partial.words[partial.committed:])).rstrip()
        columns = max(20, shutil.get_terminal_size().columns - 1)
        start = len(text) - columns + 1 if len(text) > columns else 0        # the newest words are those to be seen
        open_end = text[max(start, len(settled)):]
        self._partial = "…" * bool(start) + text[start:len(settled)] + (DIM + open_end + NORMAL if open_end else "")
        print(CLEAR + self._partial, end="", file=self._out, flush=True)
