"""Error rates of this recogniser over precisions, block lengths and decoders, and those of its peers.

Acoustic emissions are computed once for each utterance, precision and block length; both decoders then read the same ones. A mode
is named by block and decoder: "full beam" recognises the utterance as one block, "320 greedy" in chunks of 320 ms as a live client
does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asr.benchmark.scoring import Score, score
from asr.benchmark.sets import SpeechSet, find_sets
from asr.benchmark.systems import load_peer
from asr.benchmark.workers import Condition, recognise
from asr.decoding.emission import Emission
from asr.errors import BundleError

BLOCKS = ("full", "1280", "640", "320", "160")
PRECISIONS = ("int8", "float")
DECODERS = ("beam", "greedy")


@dataclass(frozen=True)
class Grid:
    """What to measure of this recogniser: every combination of these."""

    precisions: tuple[str, ...] = PRECISIONS
    blocks: tuple[str, ...] = BLOCKS
    decoders: tuple[str, ...] = DECODERS

    def within(self, bundle) -> "Grid":
        """What of it a bundle can do: one without a language model has no beam. Raises BundleError where nothing is left."""
        from asr.client.acoustic import FILES

        precisions = tuple(precision for precision in self.precisions if bundle.has(FILES[precision]))
        decoders = tuple(kind for kind in self.decoders if kind == "greedy" or bundle.has("language.binary"))
        if not precisions or not decoders:
            raise BundleError(f"bundle {bundle.name} has none of: {', '.join((*self.precisions, *self.decoders))}; ask for what it has")
        return Grid(precisions, self.blocks, decoders)


class AsrTexts:
    """This recogniser under all conditions of a grid. Raises BundleError where the bundle lacks a precision."""

    def __init__(self, bundle_path: str | None, grid: Grid):
        from asr.bundle import load_bundle
        from asr.client.acoustic import Acoustic
        from asr.decoding import make_decoder

        bundle = load_bundle(bundle_path)
        self._latencies = {block: None if block == "full" else bundle.latencies[int(block)] for block in grid.blocks}
        self._acoustics = {precision: Acoustic(bundle, precision=precision, threads=1) for precision in grid.precisions}
        self._decoders = {kind: make_decoder(bundle, kind) for kind in grid.decoders}

    def texts(self, samples: np.ndarray) -> dict[Condition, str]:
        """Samples (n,) -> {(precision, mode): text}."""
        found = {}
        for precision, acoustic in self._acoustics.items():
            for block, latency in self._latencies.items():
                emission = Emission.concatenate(emit(acoustic, latency, samples))
                for kind, decoder in self._decoders.items():
                    found[precision, f"{block} {kind}"] = decoder.decode(emission).text
        return found


class PeerTexts:
    """A peer, under its one condition."""

    def __init__(self, name: str):
        self._system = load_peer(name)

    def texts(self, samples: np.ndarray) -> dict[Condition, str]:
        """Samples (n,) -> {(precision, mode): text}."""
        return {(self._system.precision, self._system.mode): self._system.transcribe(samples)}


def emit(acoustic, latency, samples: np.ndarray) -> list:
    """All emissions of samples (n,): as one block where `latency` is None, else in its chunks."""
    from asr.client.acoustic import AcousticStream

    if latency is None:
        return [acoustic.whole(samples)]
    stream = AcousticStream(acoustic, latency)
    return [*stream.feed(samples), stream.flush()]


def score_set(load: Callable, speech_set: SpeechSet, jobs: int = 1,
              advance: Callable[[], None] = lambda: None) -> dict[Condition, Score]:
    """The scores of what `load` loads (AsrTexts, PeerTexts) on a set, under each of its conditions."""
    texts = recognise(load, speech_set.utterances, jobs, advance)
    references = [utterance.text for utterance in speech_set.utterances]
    return {condition: score(references, hypotheses) for condition, hypotheses in texts.items()}


def measure(bundle_path: str | Path | None, speech_folder: str | Path, limit: int | None = None, jobs: int = 1,
            grid: Grid | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """WER in percent of a bundle on the dev sets of a folder: {set: {precision: {mode: WER}}}, for the bundle's JSON.

    `limit` takes that many utterances of each set. Raises DataError without dev sets, BundleError for a bundle that cannot be used.
    """
    from asr.bundle import load_bundle

    load = partial(AsrTexts, str(bundle_path) if bundle_path else None, (grid or Grid()).within(load_bundle(bundle_path)))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for speech_set in find_sets(Path(speech_folder), "dev"):
        speech_set = speech_set.first(limit)
        for (precision, mode), result in score_set(load, speech_set, jobs).items():
            found.setdefault(speech_set.name, {}).setdefault(precision, {})[mode] = round(result.wer, 2)
    return found
