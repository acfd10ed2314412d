"""Keeps a library that prints from the terminal: one that has threads and a native half of its own, as Ray has."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO


class _OfThisThread:
    """A stream that the thread which makes it writes to, and no other."""

    def __init__(self, stream: TextIO):
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return self._stream.write(text) if threading.get_ident() == self._thread else len(text)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Meanwhile this thread alone prints. What others print, and what native code writes on standard error, goes nowhere."""
    with contextlib.ExitStack() as stack:
        err = sys.stderr
        if _number(err) == 2:
            err.flush()
            kept = os.dup(2)
            nowhere = stack.enter_context(open(os.devnull, "wb"))
            err = stack.enter_context(open(kept, "w", encoding=err.encoding, errors=err.errors, buffering=1))
            os.dup2(nowhere.fileno(), 2)
            stack.callback(os.dup2, kept, 2)
        stack.enter_context(contextlib.redirect_stdout(_OfThisThread(sys.stdout)))
        stack.enter_context(contextlib.redirect_stderr(_OfThisThread(err)))
        yield


def _number(stream: TextIO) -> int | None:
    """The stream's number for the system; None for one that whoever called has put in place."""
    try:
        return stream.fileno()
    except (OSError, io.UnsupportedOperation):
        return None
