"""A set or a text on its way to its place: whatever ends the work leaves it whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asr.errors import DataError


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Where to write what will be renamed to `path`, whose folder is made; gone afterwards, if it is still there.

    Raises DataError for what the system refuses meanwhile.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{error.filename or path.parent}: cannot be written: {reason}; free some room and run it again") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
