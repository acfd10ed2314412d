"""A session's text as a file of its own, when the user asks for it while captions run."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from asr.client.captions import Final
from asr.client.session import sessions_folder
from asr.files import write_whole
from asr.subtitles import FORMATS


class Saved:
    """One file for a session, in the current folder or, where that cannot be written, in that of sessions; saved again, it says more."""

    def __init__(self, started: datetime):
        self._started = started
        self._path: Path | None = None

    def write(self, finals: Sequence[Final]) -> Path:
        """All that was said so far. A file that was there before is left alone.

        Raises OSError, with a path, where no folder can be written or the disk is full.
        """
        if self._path is None:
            try:
                self._path = self._new_file(Path())
            except OSError:
                sessions_folder().mkdir(parents=True, exist_ok=True)
                self._path = self._new_file(sessions_folder())
        write_whole(self._path, FORMATS["txt"]([word for final in finals for word in final.words]))
        return self._path

    def _new_file(self, folder: Path) -> Path:
        number = 1
        while True:
            path = folder / f"captions-{self._started:%Y-%m-%d-%H%M%S}{f'-{number}' if number > 1 else ''}.txt"
            try:
                path.touch(exist_ok=False)
                return path
            except FileExistsError:
                number += 1
