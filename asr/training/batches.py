"""Batches of similar length from a store of decoded speech, in an order that (seed, epoch) fixes, from any place on.

    utterances -> drawn by set -> joined -> rows with a margin -> sorted by length -> cut into batches -> shuffled

The plan of an epoch is made at its start from lengths alone; a batch of it can then be loaded by its number, and all chance in a row
comes from (seed, epoch, utterance, how often it has been drawn). So a run that resumes at a Place gets the very same batches.
Reading ahead in the background is prefetch.py's.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from asr.config import RATE_HZ, num_frames
from asr.errors import DataError
from asr.training.audio_store import FULL_SCALE, AudioStore
from asr.training.augmentation import Augmenter
from asr.training.manifests import Utterance


class Place(NamedTuple):
    """Where in the data: the next batch to load is number `batch` of `epoch`, both from 0."""

    epoch: int = 0
    batch: int = 0


START = Place()


@dataclass(frozen=True)
class BatchConfig:
    """How utterances become batches. Seconds count before the speed factor."""

    seed: int = 1
    batch_s: float = 160.0                               # rows times the longest row
    max_rows: int = 128
    min_s: float = 0.4
    max_s: float = 20.0
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)          # one a batch; 1.1 is 10 % faster
    weights: Mapping[str, float] = field(default_factory=dict)   # set -> how much of it an epoch draws; 1 where not named
    shuffled: bool = True                                # False: batches by rising length, every epoch the same
    shortest_first: bool = True                          # in epoch 0, batches come by rising length
    length_jitter: float = 0.05                          # lengths count up to this much more when sorted: epochs differ in company
    margin_s: tuple[float, float] = (0.0, 0.3)           # of near-silence before and after each utterance
    join: float = 0.0                                    # chance that an utterance is continued by another of its set,
    join_s: float = 15.0                                 # up to this length
    empty: float = 0.0                                   # rows without speech and text, as a share of the others


def plain(batch_s: float = 160.0, max_s: float = 60.0) -> BatchConfig:
    """Every utterance once, as it is, shortest first: for evaluation."""
    return BatchConfig(batch_s=batch_s, min_s=0.0, max_s=max_s, speeds=(1.0,), shuffled=False, length_jitter=0.0, margin_s=(0.0, 0.0))


@dataclass(frozen=True)
class Batch:
    """N rows of samples, the longest S samples long.

    `ids` and `texts` hold the parts of a joined row with a space between; `indices` are the parts' numbers in the store and `starts` the
    samples at which they begin, none for a row without speech. `next_place` is where to go on once this batch has been used.
    """

    samples: np.ndarray                                  # (N, S) float32 in [-1, 1], zeros after each row's end
    lengths: np.ndarray                                  # (N,) int64 samples
    speed: float
    texts: list[str]
    ids: list[str]
    indices: list[tuple[int, ...]]
    starts: list[tuple[int, ...]]
    place: Place
    next_place: Place

    @property
    def seconds(self) -> float:
        """Audio in the batch, padding not counted, before the speed factor."""
        return float(self.lengths.sum()) / RATE_HZ


class Row(NamedTuple):
    """What a row is made of: utterances, and the samples of near-silence before, between and after them."""

    parts: tuple[int, ...]
    gaps: tuple[int, ...]
    drawn: int                                           # how often its first utterance was drawn before in this epoch
    num_samples: int


class BatchPlan(NamedTuple):
    """One batch before it is loaded."""

    rows: list[Row]
    speed: float


class Batches:
    """The batches of every epoch.

    `augmenter` None leaves the samples as they are. `needed_frames(utterance)` is the number of output frames that its target needs
    (labels plus one for each repeated pair, for CTC); an utterance with fewer at the highest speed is left out. What was left out, and
    why, is counted in `.left_out` {reason: utterances}.
    """

    def __init__(self, store: AudioStore, config: BatchConfig, augmenter: Augmenter | None = None,
                 needed_frames: Callable[[Utterance], int] | None = None, share: slice = slice(None)):
        unknown = [name for name in config.weights if name not in store.names]
        if unknown:
            raise DataError(f"weights name the set {unknown[0]}, which is not among the sets read: {', '.join(store.names)}")
        self.store = store
        self.config = config
        self.augmenter = augmenter
        self.share = share
        self.left_out: Counter[str] = Counter()
        self._usable = self._choose(needed_frames)       # (num,) bool
        if not self._usable.any():
            raise DataError(f"no utterance of {', '.join(store.names)} can be used: "
                            + ", ".join(f"{count} {reason}" for reason, count in self.left_out.items()))
        self._plans: dict[int, list[BatchPlan]] = {}

    @property
    def fingerprint(self) -> str:
        """Equal for equal data and settings: a Place means nothing for another."""
        digest = hashlib.sha256(repr(self.config).encode())
        digest.update(self.store.lengths.tobytes() + self._usable.tobytes())
        digest.update("\n".join(utterance.id for utterance in self.store.utterances).encode())
        return digest.hexdigest()[:16]

    def num_batches(self, epoch: int) -> int:
        """How many batches the epoch has; epochs differ by a few."""
        return len(self.plan(epoch))

    def seconds(self, epoch: int) -> float:
        """Audio that the epoch's rows hold, margins included, padding not."""
        return sum(row.num_samples for batch in self.plan(epoch) for row in batch.rows) / RATE_HZ

    def plan(self, epoch: int) -> list[BatchPlan]:
        """What each batch of the epoch is made of."""
        if epoch not in self._plans:
            self._plans = {key: plan for key, plan in self._plans.items() if key == epoch - 1}     # two at most are kept
            self._plans[epoch] = self._make_plan(epoch)
        return self._plans[epoch]

    def load(self, place: Place) -> Batch:
        """The batch at a place. Safe from several threads. Raises DataError where the epoch has no such batch."""
        place = Place(*place)
        plans = self.plan(place.epoch)
        if place.batch >= len(plans):
            raise DataError(f"epoch {place.epoch} has {len(plans)} batches, no number {place.batch}: the place is of other data")
        rows, speed = plans[place.batch]
        rows = rows[self.share] or rows[:1]              # a team may be larger than a batch
        lengths = np.array([row.num_samples for row in rows], np.int64)                            # (N,)
        samples = np.zeros((len(rows), lengths.max()), np.float32)                                 # (N, S)
        for out, row in zip(samples, rows, strict=True):
            self._fill(out[: row.num_samples], row, place.epoch)
        named = [[self.store.utterances[part] for part in row.parts] for row in rows]
        return Batch(samples, lengths, speed,
                     texts=[" ".join(utterance.text for utterance in parts) for parts in named],
                     ids=[" ".join(utterance.id for utterance in parts) for parts in named],
                     indices=[row.parts for row in rows], starts=[self._starts(row) for row in rows],
                     place=place, next_place=self._after(place))

    def places(self, start: Place = START, end_epoch: int | None = None) -> Iterator[Place]:
        """The places from `start` on, up to the end of epoch `end_epoch` - 1, or for ever."""
        place = Place(*start)
        while end_epoch is None or place.epoch < end_epoch:
            yield place
            place = self._after(place)

    def stream(self, start: Place = START, end_epoch: int | None = None) -> Iterator[Batch]:
        """The batches at `places(start, end_epoch)`, each made when it is asked for."""
        return map(self.load, self.places(start, end_epoch))

    def _after(self, place: Place) -> Place:
        last = place.batch + 1 >= self.num_batches(place.epoch)
        return Place(place.epoch + 1, 0) if last else Place(place.epoch, place.batch + 1)

    def _choose(self, needed_frames: Callable[[Utterance], int] | None) -> np.ndarray:
        config, lengths = self.config, self.store.lengths
        short, long = lengths < config.min_s * RATE_HZ, lengths > config.max_s * RATE_HZ
        usable = ~(short | long)
        fastest = max(config.speeds)
        if needed_frames is not None:
            fits = np.ones(len(lengths), bool)
            for index in np.flatnonzero(usable):
                fits[index] = needed_frames(self.store.utterances[index]) <= num_frames(int(lengths[index] / fastest))
            usable &= fits
            self.left_out["text too long for the audio"] = int((~fits).sum())
        self.left_out[f"shorter than {config.min_s} s"] = int(short.sum())
        self.left_out[f"longer than {config.max_s} s"] = int(long.sum())
        self.left_out["not decodable"] = len(self.store.failures)
        self.left_out = +self.left_out                   # drops the zeros
        return usable

    def _make_plan(self, epoch: int) -> list[BatchPlan]:
        config = self.config
        rng = np.random.default_rng((config.seed, epoch if config.shuffled else 0))
        rows = self._with_margins(self._join(self._draw(rng), rng), rng)
        lengths = np.array([row.num_samples for row in rows])
        num_empty = round(config.empty * len(rows))
        rows += [Row((), (int(length),), number, int(length)) for number, length in enumerate(rng.choice(lengths, num_empty))]
        by_length = np.array([row.num_samples for row in rows]) * (1 + rng.uniform(0, config.length_jitter, len(rows)))
        batches = _cut([rows[index] for index in np.argsort(by_length, kind="stable")], config)
        speeds = rng.choice(config.speeds, len(batches))
        order = rng.permutation(len(batches))
        if not config.shuffled or (epoch == 0 and config.shortest_first):
            order = np.arange(len(batches))
        return [BatchPlan(batches[index], float(speeds[index])) for index in order]

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        """int64 (rows,): numbers of the utterances of one epoch, set by set, each set in random order."""
        drawn = []
        for position, name in enumerate(self.store.names):
            of_set = np.flatnonzero(self._usable & (self.store.set_of == position))
            whole, part = divmod(self.config.weights.get(name, 1.0), 1.0)
            for share in (1.0,) * int(whole) + (part,):
                drawn.append(rng.permutation(of_set)[: round(share * len(of_set))])
        return np.concatenate(drawn)

    def _join(self, drawn: np.ndarray, rng: np.random.Generator) -> list[tuple[int, ...]]:
        """Groups of utterances of the same set, most of them of one."""
        config, store = self.config, self.store
        groups: list[list[int]] = []
        length, of_set = 0, -1
        chances = rng.random(len(drawn)) < config.join
        columns = drawn, chances, store.lengths[drawn], store.set_of[drawn]
        for index, may_join, more, in_set in zip(*(column.tolist() for column in columns), strict=True):
            if may_join and in_set == of_set and length + more <= config.join_s * RATE_HZ:
                groups[-1].append(index)
                length += more
            else:
                groups.append([index])
                length, of_set = more, in_set
        return [tuple(group) for group in groups]

    def _with_margins(self, groups: list[tuple[int, ...]], rng: np.random.Generator) -> list[Row]:
        times_drawn: Counter[int] = Counter()
        low, high = (round(margin * RATE_HZ) for margin in self.config.margin_s)
        margins = iter(rng.integers(low, high + 1, sum(len(parts) + 1 for parts in groups)).tolist())
        lengths = self.store.lengths.tolist()
        rows = []
        for parts in groups:
            gaps = tuple(itertools.islice(margins, len(parts) + 1))
            rows.append(Row(parts, gaps, times_drawn[parts[0]], sum(lengths[part] for part in parts) + sum(gaps)))
            times_drawn[parts[0]] += 1
        return rows

    def _starts(self, row: Row) -> tuple[int, ...]:
        """Samples of the row before each of its parts."""
        lengths = [0, *(int(self.store.lengths[part]) for part in row.parts)]
        return tuple(itertools.accumulate(gap + length for gap, length in zip(row.gaps[:-1], lengths[:-1], strict=True)))

    def _fill(self, out: np.ndarray, row: Row, epoch: int) -> None:
        """Writes the samples of a row into `out` float32 (num_samples,), which is zeros."""
        first = row.parts[0] if row.parts else len(self.store)
        rng = np.random.default_rng((self.config.seed, epoch, first, row.drawn))
        if not row.parts:
            out[:] = self.augmenter.empty(len(out), rng) if self.augmenter else 0.0
            return
        end = 0
        for gap, part, start in zip(row.gaps, row.parts, self._starts(row), strict=False):
            speech = self.store.samples(part)
            end = start + len(speech)
            np.multiply(speech, np.float32(1 / FULL_SCALE), out=out[start:end])
            _hush(out[start - gap:start], out[start:end], rng)
        _hush(out[end:], out[start:end], rng)
        if self.augmenter:
            out[:] = self.augmenter.apply(out, rng, epoch)


def _hush(gap: np.ndarray, speech: np.ndarray, rng: np.random.Generator) -> None:
    """Fills a gap with white noise as faint as the quietest 20 ms at the ends of the speech beside it, so that no edge is heard."""
    ends = np.concatenate([speech[:3200], speech[-3200:]])
    windows = ends[: len(ends) // 320 * 320].reshape(-1, 320)
    if len(gap) and len(windows):
        level = np.sqrt(np.einsum("ij,ij->i", windows, windows).min() / 320)
        gap[:] = rng.standard_normal(len(gap), np.float32) * level


def _cut(rows: list[Row], config: BatchConfig) -> list[list[Row]]:
    """Rows, about sorted by length, as batches within `batch_s` (a longer row is a batch of its own) and `max_rows`."""
    batches, batch, longest = [], [], 0
    for row in rows:
        longest = max(longest, row.num_samples)
        if batch and (len(batch) == config.max_rows or longest * (len(batch) + 1) > config.batch_s * RATE_HZ):
            batches.append(batch)
            batch, longest = [], row.num_samples
        batch.append(row)
    return [*batches, batch] if batch else batches
