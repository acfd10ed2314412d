"""What can be made again: the user's folder for that, and in it what was found of files, for as long as they stay the same."""

import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from asr.files import write_whole


def cache_folder() -> Path:
    """The user's folder for what can be made again, in $XDG_CACHE_HOME, else the system's place, else a temporary one."""
    system = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}.get(sys.platform, "~/.cache")
    for root in (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser(system)):
        if os.path.isabs(root):
            with contextlib.suppress(OSError):
                folder = Path(root) / "asr"
                folder.mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK):
                    return folder
    return Path(_temporary_cache().name)


@functools.cache
def _temporary_cache() -> tempfile.TemporaryDirectory:
    """For a user without a writable home: kept as long as the process."""
    return tempfile.TemporaryDirectory(prefix="asr-")


def sum_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> str:
    """What changes when a file does. ctime cannot be set back by hand, so a change under the old size and mtime shows too."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def read_known() -> dict[str, str]:
    """What was remembered: stamp -> what was found then."""
    try:
        return dict(json.loads((cache_folder() / "sums.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def remember(known: dict[str, str], fresh: dict[str, str]) -> None:
    """Add `fresh` to what is known, the last hundred of it."""
    if fresh.items() <= known.items():
        return
    path = cache_folder() / "sums.json"
    with contextlib.suppress(OSError):                       # without it the files are hashed again, nothing worse
        write_whole(path, json.dumps({**dict(list(known.items())[-100:]), **fresh}, indent=0))
