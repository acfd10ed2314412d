"""Work spread over threads with a progress bar on standard error; for what runs outside Python's lock."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

AHEAD = 64                                  # results in flight: bounds memory, keeps the threads busy

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Sequence[Item], label: str, threads: int, progress: bool) -> Iterator[Result]:
    """function(item) of each item, in the order of the items."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task(label, total=len(items))
        waiting = []
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= AHEAD:
                yield waiting.pop(0).result()
                bar.advance(task)
        for future in waiting:
            yield future.result()
            bar.advance(task)
