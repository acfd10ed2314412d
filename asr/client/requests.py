"""What the user asks for while captions run: put by any thread, done by the worker's."""

from enum import Enum
from queue import SimpleQueue


class Request(Enum):
    """One wish."""

    PAUSE = "hear nothing until asked again"
    MARK = "mark this moment in the session"


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
