"""Work spread over threads with a progress bar on standard error; for what runs outside Python's lock."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AHEAD = 64                                  # results in flight: bounds memory, keeps the threads busy

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Sequence[Item], label: str, threads: int, progress: bool) -> Iterator[Result]:
    """function(item) of each item, in the order of the items; after an error or Ctrl-C only those that are begun come to their end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task(label, total=len(items))
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
                    bar.advance(task)
            while waiting:
                yield waiting.popleft().result()
                bar.advance(task)
        finally:
            for future in waiting:
                future.cancel()
