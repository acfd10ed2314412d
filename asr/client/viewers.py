"""What viewers of the caption page are sent, and who lacks what. Used in the server's event loop alone; knows of no network.

Messages are JSON objects:

    {"type": "hello", "session": ..., "started": ISO time, "last": number of the newest final}            first, always
    {"type": "finals", "finals": [{"number", "start_s", "end_s", "words": [[text, confidence], ...]}, ...]}
    {"type": "partial", "words": [[text, confidence], ...], "committed": how many of them stand, "start_s": ...}
    {"type": "remark", "text": ...}
    {"type": "alive"}                                                                                        when there was nothing else
    {"type": "ended"}                                                                                        last

Finals are numbered from 1 and end the partial before them. A viewer is no queue but a place in what is kept: it gets every final
after its place, and of partials and remarks only the newest. So a slow one costs no memory, and whoever comes back names its place.
"""

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from asr.client.captions import Final, Partial
from asr.decoding.hypothesis import Word

KEPT_FINALS = 5000                   # seven hours of speech at 5 s each, 12 MB; the session's file has all
BATCH = 200                          # finals in one message
ALIVE = '{"type":"alive"}'


class Feed:
    """The captions so far, and who reads them."""

    def __init__(self, kept: int = KEPT_FINALS):
        self.session = secrets.token_hex(4)                  # numbers of another session mean nothing in this one
        self.started = datetime.now(UTC)                     # what times count from
        self.ended = asyncio.Event()
        self.viewers: set[Viewer] = set()
        self._finals: deque[Final] = deque(maxlen=kept)
        self._count = 0              # finals so far: the number of the newest
        self._newest: dict[str, tuple[int, str]] = {}        # kind -> when it came (a count), message
        self._told = 0               # counts partials, finals and remarks
        self._captioned = 0          # the count of the last caption

    def show(self, caption: Partial | Final):
        """A final without words only takes its partial away."""
        if isinstance(caption, Final) and caption.words:
            self._finals.append(caption)
            self._count += 1
            self._newest.pop("partial", None)
            self._told += 1
            self._wake()
        else:
            words, committed = (caption.words, caption.committed) if isinstance(caption, Partial) else ((), 0)
            self._tell("partial", words=_pairs(words), committed=committed, start_s=round(words[0].start_s, 3) if words else 0)
        self._captioned = self._told

    def remark(self, text: str):
        """A line that is no caption. Who comes after the next caption is not told."""
        self._tell("remark", text=text)

    def end(self):
        """After the last caption."""
        self._tell("ended")
        self.ended.set()

    @property
    def words(self) -> list[Word]:
        """Those of all finals that are kept."""
        return [word for final in self._finals for word in final.words]

    @contextlib.contextmanager
    def viewer(self, session: str | None = None, after: int = 0) -> Iterator["Viewer"]:
        """A new viewer who has the finals up to number `after`: of this session, where none is named."""
        known = session in (None, self.session) and 0 <= after <= self._count
        viewer = Viewer(self, after if known else 0, self._captioned - 1)
        self.viewers.add(viewer)
        try:
            yield viewer
        finally:
            self.viewers.remove(viewer)

    def hello(self) -> str:
        """The first message to a viewer."""
        return _message("hello", session=self.session, started=self.started.isoformat(timespec="milliseconds"), last=self._count)

    def finals_after(self, number: int) -> tuple[int, list[str]]:
        """The number of the newest final, and messages with those after `number` that are kept."""
        first = self._count - len(self._finals) + 1          # number of the oldest
        start = max(0, number + 1 - first)
        rows = [{"number": first + start + at, "start_s": round(final.start_s, 3), "end_s": round(final.end_s, 3),
                 "words": _pairs(final.words)} for at, final in enumerate(islice(self._finals, start, None))]
        return self._count, [_message("finals", finals=rows[at:at + BATCH]) for at in range(0, len(rows), BATCH)]

    def newest_after(self, told: int) -> tuple[int, list[str]]:
        """The count now, and partial, remark and end, in their order, as far as they came after the count `told`."""
        return self._told, [message for at, message in sorted(self._newest.values()) if at > told]

    def _tell(self, kind: str, **fields):
        self._told += 1
        self._newest[kind] = self._told, _message(kind, **fields)
        self._wake()

    def _wake(self):
        for viewer in self.viewers:
            viewer.changed.set()


class Viewer:
    """A place in a feed."""

    def __init__(self, feed: Feed, number: int, told: int):
        self.changed = asyncio.Event()
        self._feed, self._number, self._told = feed, number, told
        self._greeted = False

    async def next(self) -> list[str]:
        """The messages it lacks, as soon as there are any; none at all after the end."""
        while True:
            self.changed.clear()
            greeting = [] if self._greeted else [self._feed.hello()]
            self._greeted = True
            self._number, finals = self._feed.finals_after(self._number)
            self._told, newest = self._feed.newest_after(self._told)
            messages = greeting + finals + newest
            if messages or self._feed.ended.is_set():
                return messages
            await self.changed.wait()


def _pairs(words: tuple[Word, ...]) -> list[tuple[str, float]]:
    return [(word.text, round(word.confidence, 2)) for word in words]


def _message(kind: str, **fields) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
