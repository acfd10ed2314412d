"""Text files that are whole or not there: written beside their place and renamed."""

import contextlib
import os
from pathlib import Path
from secrets import token_hex


def write_whole(path: Path, text: str, changed_s: float | None = None) -> None:
    """Write a text, UTF-8, in place of what is at `path`, so that whatever ends the program leaves the one or the other, whole.

    changed_s: when the file says that it was changed last, in seconds since 1970; None: now. Raises OSError, with `path`'s name.
    """
    partial = path.with_name(f".{path.name}.{token_hex(4)}.part")      # no other's, on this machine or on one that shares the folder
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        if changed_s is not None:
            os.utime(partial, (changed_s, changed_s))
        os.replace(partial, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None          # a full disk's has no name
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
