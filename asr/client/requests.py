"""What the user asks for while captions run: put by any thread, done by the worker's."""

import time
from enum import Enum
from queue import SimpleQueue


class Request(Enum):
    """One wish."""

    PAUSE = "hear nothing until asked again"
    MARK = "mark this moment in the session"


class Stop:
    """Whether and when it was asked to end; the worker then finishes what was said."""

    def __init__(self):
        self.at_s: float | None = None

    def ask(self, *_signal):
        """Stop now; asked again, nothing more. For whatever may ask twice without meaning it."""
        if self.at_s is None:
            self.at_s = time.monotonic()

    def set(self, *_signal):
        """Stop now. A second time ends at once, as Ctrl-C does."""
        if self.at_s is not None:
            raise KeyboardInterrupt
        self.ask()


class Requests:
    """Those that wait."""

    def __init__(self):
        self._waiting: SimpleQueue[Request] = SimpleQueue()

    def put(self, request: Request):
        """Ask."""
        self._waiting.put(request)

    def take(self) -> list[Request]:
        """All that wait, in order."""
        return [self._waiting.get() for _ in range(self._waiting.qsize())]
