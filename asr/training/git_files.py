"""The files of a public git repository, fetched once without its history, and read without a work tree."""

import os
import re
import subprocess
import threading
from pathlib import Path

from asr.errors import DataError

FETCHED = "refs/heads/fetched"


def fetch(url: str, ref: str, folder: Path) -> "GitFiles":
    """The files of `url` at `ref`, kept in the bare repository `folder`; what is there already is not fetched again. Raises DataError."""
    if not (folder / FETCHED).exists():
        _git("init", "--quiet", "--bare", str(folder))
        _git("--git-dir", str(folder), "fetch", "--quiet", "--depth", "1", url, f"+{ref}:{FETCHED}")
    return GitFiles(folder, FETCHED)


class GitFiles:
    """The files of one commit. Raises DataError where the repository has no such commit. To be closed."""

    def __init__(self, folder: Path, ref: str = "HEAD"):
        inner = folder / ".git"
        self._git_dir, self._ref = str(inner if inner.is_dir() else folder), ref
        self._listing = _git("--git-dir", self._git_dir, "ls-tree", "-r", "-z", ref).decode("utf-8", "replace")
        self._lock = threading.Lock()
        self._blobs = subprocess.Popen(["git", "--git-dir", self._git_dir, "cat-file", "--batch"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "GitFiles":
        return self

    def __exit__(self, *_) -> None:
        self._blobs.stdin.close()
        self._blobs.stdout.close()
        self._blobs.wait()

    def files(self, pattern: str) -> list[tuple[str, str]]:
        """(path, blob) of every file in whose path the pattern is found, in the order of their paths."""
        entries = (entry.partition("\t") for entry in self._listing.split("\0") if entry)
        return [(path, meta.split()[2]) for meta, _, path in entries if re.search(pattern, path)]

    def read(self, blob: str) -> bytes | None:
        """What is in a file; None where the repository lacks it, as copies do that leave out large files. Safe from several threads."""
        with self._lock:
            self._blobs.stdin.write(blob.encode() + b"\n")
            self._blobs.stdin.flush()
            head = self._blobs.stdout.readline().split()
            if len(head) < 3:
                return None
            content = self._blobs.stdout.read(int(head[2]))
            self._blobs.stdout.read(1)
            return content

    def text(self, path: str) -> str:
        """A text file by its path. Raises DataError where there is none."""
        found = [blob for name, blob in self.files(f"^{re.escape(path)}$")]
        content = self.read(found[0]) if found else None
        if content is None:
            raise DataError(f"{self._git_dir}: no {path} in it at {self._ref}; is it another repository, or a copy without large files?")
        return content.decode("utf-8", "replace")


def _git(*arguments: str) -> bytes:
    try:
        asks_nothing = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}            # for the password of a repository that is gone
        return subprocess.run(["git", *arguments], capture_output=True, check=True, env=asks_nothing).stdout
    except FileNotFoundError:
        raise DataError("the program git is not installed; on Debian: apt-get install git") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        reason = next((line for line in lines if line.startswith("fatal:")), lines[-1]).removeprefix("fatal: ")
        raise DataError(f"{arguments[-1] if len(arguments) < 6 else arguments[-2]}: git cannot read it: {reason}") from None
