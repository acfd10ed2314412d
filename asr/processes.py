"""Worker processes that end with the process that started them, however that one ends.

A worker of concurrent.futures waits for its next task at a pipe whose other end it holds open as well: after a kill -9 of the process that
gives the tasks it would wait, with all that it has loaded, until the machine is turned off.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor


def worker_pool(jobs: int, begin: Callable[..., None] | None = None, *arguments) -> ProcessPoolExecutor:
    """A pool of processes, each of which runs `begin(*arguments)` first.

    They are spawned: a forked one would begin with the memory, and the locks, of this process.
    """
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin, (begin, arguments))


def end_with_parent() -> None:
    """In a process that multiprocessing started: end at once when the one that started it is gone."""
    threading.Thread(target=_wait, name="end with parent", daemon=True).start()


def _begin(begin: Callable[..., None] | None, arguments: tuple) -> None:
    end_with_parent()
    if begin:
        begin(*arguments)


def _wait() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
