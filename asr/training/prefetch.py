"""Batches made ahead of the trainer, in threads.

Threads, not processes: loading holds Python's lock a tenth of its time (the rest is FFTs and copies in numpy), which is one percent of
a two-core trainer's, while a process would copy every batch twice more.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from asr.training.batches import START, Batch, Batches, Place


def prefetch(batches: Batches, start: Place = START, end_epoch: int | None = None, depth: int = 4, threads: int = 1) -> Iterator[Batch]:
    """The same batches as `batches.stream(start, end_epoch)`, with up to `depth` of them made or being made in the background.

    An error there is raised here, in its turn. Closing the generator ends the threads.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
    try:
        waiting = deque()
        for place in batches.places(start, end_epoch):
            waiting.append(pool.submit(batches.load, place))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
