"""Decoding stored emissions with one set of options after another, in several processes: what tuning and comparing have in common."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.decoding.emission import Emission
from asr.decoding.tune import PLAIN, Example, Outcome, count


class Stored(NamedTuple):
    """An utterance of a development set whose emission lies in a file."""

    set_name: str
    text: str                        # normalised, with a word at least
    file: str


def store(path: str | Path, emission: Emission) -> None:
    """Write an emission, as float16; the file is whole or is not there."""
    partial_path = f"{path}.{os.getpid()}.npz"
    np.savez(partial_path, phones=emission.phones.astype(np.float16), pieces=emission.pieces.astype(np.float16))
    os.replace(partial_path, path)


def log_prior(files: Sequence[str | Path]) -> list[float]:
    """Log of the mean probability of each phone over all frames of stored emissions."""
    sums = 0.0
    for file in files:
        with np.load(file) as stored:
            sums = sums + np.exp(stored["phones"].astype(np.float64)).sum(0)
    return np.log(sums / sums.sum()).round(3).tolist()


class Trials:
    """Stored utterances, an equal share for each of a pool's processes, and the bundle whose decoders hear them."""

    def __init__(self, pool: ProcessPoolExecutor, jobs: int, bundle: Path, entries: Sequence[Stored]):
        self._pool, self._bundle = pool, str(bundle)
        self._shares = [share for share in (list(entries[i::jobs]) for i in range(jobs)) if share]

    def beam(self, changes: dict) -> Outcome:
        """With the bundle's options and `changes` over them, confidences plain."""
        return self._measure("beam", changes)

    def greedy(self) -> Outcome:
        """By the pieces' best path."""
        return self._measure("greedy", {})

    def _measure(self, kind: str, changes: dict) -> Outcome:
        results = [self._pool.submit(_count_share, self._bundle, kind, changes, share) for share in self._shares]
        return sum((result.result() for result in results), Outcome({}, {}))


_worker: dict = {}                   # of a worker process: what it has loaded, once


def _count_share(bundle: str, kind: str, changes: dict, entries: list[Stored]) -> Outcome:
    """One process's share of a trial."""
    from asr.bundle import load_bundle
    from asr.decoding import make_decoder

    if _worker.get("entries") != entries:
        _worker["entries"], _worker["examples"] = entries, []
        for name, text, path in entries:
            with np.load(path) as stored:
                emission = Emission(stored["phones"].astype(np.float32), stored["pieces"].astype(np.float32))
            _worker["examples"].append(Example(name, emission, tuple(text.split())))
    if (bundle, kind) not in _worker:
        _worker[bundle, kind] = make_decoder(load_bundle(bundle), kind, **PLAIN)
    decoder = _worker[bundle, kind].with_changes(**changes) if changes else _worker[bundle, kind]
    return count(decoder, _worker["examples"])
