"""The training loop: batches in, checkpoints and curves out; resumes where it stopped, in the data too.

All chance of a step comes from (seed, step), so a run that was stopped goes on as if it had not been. Development results are those of
the averaged weights. `last.pt` is written every ten minutes, `best.pt` at each new best development loss.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asr.config import RATE_HZ, REDUCTION, SHIFT_SAMPLES, Latency
from asr.errors import CheckpointError
from asr.training import checkpoint as checkpoints
from asr.training.batches import Batch, Batches, Place
from asr.training.checkpoint import Checkpoint
from asr.training.curves import History
from asr.training.discriminative import PhoneGrammar
from asr.training.evaluate import evaluate
from asr.training.hypotheses import NBest
from asr.training.losses import Lesson, Loss, Targets, losses
from asr.training.masking import mask
from asr.training.model import AcousticModel
from asr.training.optimisation import MovingAverage, Schedule, make_optimiser
from asr.training.prefetch import prefetch
from asr.training.recipe import LatencyConfig, Recipe
from asr.training.teacher import Teacher
from asr.training.team import Team
from asr.training.units import TrainingUnits

CHECKPOINT_S = 600
REPORT_STEPS = 20


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0
    place: Place = Place()
    passes: float = 0.0
    audio_s: float = 0.0             # seen so far, before speed
    best_loss: float = math.inf
    since_best: int = 0              # evaluations
    results: dict = field(default_factory=dict)


class Trainer:
    """Trains one model into a run folder."""

    def __init__(self, recipe: Recipe, batches: Batches, development: Mapping[str, Batches], units: TrainingUnits, folder: Path,
                 device: torch.device, dtype: torch.dtype, team: Team = Team(), grammar: PhoneGrammar | None = None,
                 teacher: Teacher | None = None, n_best: NBest | None = None):
        torch.manual_seed(recipe.data.seed)
        self.team = team
        self.recipe, self.batches, self.development, self.units = recipe, batches, development, units
        self.folder, self.device, self.dtype = folder, device, dtype
        self.model = AcousticModel(recipe.model)
        self.teacher, self.foresee = teacher, nn.Linear(2 * recipe.model.hidden, teacher.size) if teacher else None
        self.trained = nn.ModuleList([self.model, self.foresee] if teacher else [self.model])      # the second is not exported
        self.grammar = PhoneGrammar(grammar.probabilities.to(device)) if grammar else None
        self.n_best = n_best
        self.schedule = Schedule.planned(recipe.optimisation)
        self.progress = Progress()
        self.optimiser = make_optimiser(self.trained, recipe.optimisation)
        self.average = MovingAverage(self.model, recipe.optimisation.average_decay)
        if team.leads:
            folder.mkdir(parents=True, exist_ok=True)
            self.history = History(folder)

    def fit_features(self, rows: int = 300) -> None:
        """Set the mean and variance of the log-mel bands from some rows of the first batches' utterances, undistorted."""
        store, rng = self.batches.store, np.random.default_rng(self.recipe.data.seed)
        chosen = rng.choice(len(store), min(rows, len(store)), replace=False)
        self.model.features.fit([torch.from_numpy(store.samples(i).astype(np.float32) / 32768) for i in chosen])

    def start_from(self, held: Checkpoint, path: Path) -> None:
        """Begin a new run with the weights of a checkpoint. Raises CheckpointError where its sizes are others."""
        self._fit(held, path)
        self.model.load_state_dict(held.weights)
        self.average = MovingAverage(self.model, self.recipe.optimisation.average_decay)

    def resume(self, held: Checkpoint, path: Path) -> None:
        """Take up a run from its checkpoint. Raises CheckpointError where it is of another model or has no training state.

        Where the recipe now asks for more passes, a run whose rate was falling, or that had ended, goes on: its learning rate rises again.
        """
        self._fit(held, path)
        if held.training is None:
            raise CheckpointError(f"{path}: has no training state to resume, it was made for export alone; use it with --start")
        state = held.training
        self.model.load_state_dict({k: v.float() for k, v in state["weights"].items()})
        if (self.teacher and self.teacher.key) != state.get("teacher"):
            raise CheckpointError(f"{path}: its run had {'another' if state.get('teacher') else 'no'} teacher; keep --teacher and "
                                  "[loss] teacher as they were, or begin a new run with --start")
        if self.foresee:
            self.foresee.load_state_dict({k: v.float() for k, v in state["foresee"].items()})
        self.average.weights = {name: held.weights[name] for name in self.average.weights}
        self.optimiser.load_state_dict(checkpoints.restore_first_moments(state["optimiser"]))
        saved = dict(state["progress"])
        place = Place(*saved.pop("place"))
        if state["fingerprint"] != self.batches.fingerprint:                # other data: the pass that was begun is begun again
            place = Place(place.epoch, 0)
        self.progress = Progress(place=place, **saved)
        if state.get("planned") == self.schedule.planned_as:                # the decay may have begun early
            self.schedule.decay_from, self.schedule.end = state["schedule"]
        if self.team.leads:
            self.history.rewind(self.progress.step)

    def _fit(self, held: Checkpoint, path: Path) -> None:
        if replace(held.config, dropout=self.recipe.model.dropout) != self.recipe.model:
            raise CheckpointError(f"{path}: its model has other sizes than [model] of the recipe; use the recipe it was made with")

    def run(self, report: Callable[[Progress, dict], None]) -> Progress:
        """Train to the end of the schedule. `report` hears of the progress and the newest numbers every few steps."""
        self.trained.to(self.device).train()
        self.team.agree(self.trained)
        saved_at = time.monotonic()
        evaluate_passes = self.recipe.optimisation.evaluate_passes
        next_evaluation = self.progress.passes + evaluate_passes
        window = _Window()
        batches = prefetch(self.batches, self.progress.place)
        try:
            for batch in batches:
                progress = self.progress
                rate = self.schedule.rate(progress.step, progress.passes)
                loss, rate, self.schedule.end = self._step(batch, rate)
                progress.step += 1
                progress.audio_s += batch.seconds * self.team.size
                progress.place = batch.next_place
                progress.passes = batch.place.epoch + (batch.place.batch + 1) / self.batches.num_batches(batch.place.epoch)
                finished = progress.passes >= self.schedule.end
                if not self.team.leads:
                    if finished:
                        break
                    continue
                window.add(loss, batch, rate, self.team.size)
                if progress.step % REPORT_STEPS == 0:
                    numbers = {"passes": progress.passes, **window.numbers()}
                    self.history.add("train", progress.step, numbers)
                    report(progress, numbers)
                    window = _Window()
                if progress.passes >= next_evaluation or finished:
                    self._evaluate()
                    report(progress, {})
                    next_evaluation = progress.passes + evaluate_passes
                    window = _Window()
                if finished or time.monotonic() - saved_at > CHECKPOINT_S:
                    self.save("last.pt")
                    saved_at = time.monotonic()
                if finished:
                    break
        except KeyboardInterrupt:
            self.save("last.pt")
            raise
        finally:
            batches.close()
        return self.progress

    def save(self, name: str) -> Path:
        """Write a checkpoint of the run as it stands."""
        progress = {**vars(self.progress), "place": tuple(self.progress.place)}
        averaged = {**self.model.state_dict(), **self.average.weights}
        training = {
            "weights": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
            "progress": progress, "fingerprint": self.batches.fingerprint,
            "schedule": (self.schedule.decay_from, self.schedule.end), "planned": self.schedule.planned_as,
            "teacher": self.teacher and self.teacher.key, "foresee": self.foresee and self.foresee.state_dict(),
        }
        path = self.folder / name
        checkpoints.save(Checkpoint(self.recipe.model, self.units.phones, self.units.pieces, self.units.piece_model, averaged,
                                    self.recipe.source, progress, training), path)
        return path

    def _step(self, batch: Batch, rate: float) -> tuple[Loss, float, float]:
        """One update; returns the loss of this process's rows, and the leader's learning rate and end of the run."""
        seed = self.recipe.data.seed * 1_000_003 + self.progress.step
        torch.manual_seed(seed + 7919 * self.team.rank)
        chance = torch.Generator().manual_seed(seed)
        latency = draw_latency(self.recipe.latency, chance)
        samples = torch.from_numpy(batch.samples).to(self.device)
        targets = self.units.targets(batch.texts)
        frames = frames_of(torch.from_numpy(batch.lengths), batch.speed)
        with torch.no_grad():
            mel = self.model.log_mel(samples, batch.speed, draw_warp(self.recipe.data.warps, chance))
            if self.recipe.loss.consistency:                                # two views, which masks and dropout tell apart
                mel, frames, targets = mel.repeat(2, 1, 1), frames.repeat(2), targets.twice()
            mel = mask(mel, frames * REDUCTION, self.recipe.masking, chance)
        phones, pieces, halfway, top = self.model.forward_all(mel, latency, self.dtype)
        hypotheses = self.n_best.find(phones, frames, self.units.normal(batch.texts)) if self.n_best else None      # of the first view
        loss = losses(self.recipe.loss, phones, pieces, halfway, frames, targets, self.grammar, self._lesson(batch, top), hypotheses)
        loss.total.backward()
        rate, end = self.team.average_gradients(self.trained, [rate, self.schedule.end])
        torch.nn.utils.clip_grad_norm_(self.trained.parameters(), self.recipe.optimisation.clip_norm, foreach=True)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.team.leads:
            self.average.update(self.model, self.progress.step)
        return loss, rate, end

    def _lesson(self, batch: Batch, top: Tensor) -> Lesson | None:
        """What the teacher has heard in the batch; top (T, N or 2 N, D)."""
        if not self.teacher:
            return None
        aims, known = (torch.from_numpy(held).to(self.device) for held in self.teacher.aims(batch, len(top)))
        views = top.shape[1] // known.shape[1]
        return Lesson(self.foresee(top), aims.repeat(1, views, 1), known.repeat(1, views))

    def _evaluate(self) -> None:
        progress, results = self.progress, {}
        self.average.swap(self.model)
        for name, batches in self.development.items():
            results[name] = evaluate(self.model, self._development(batches), None, self.units.words_of, self.dtype,
                                     self.recipe.loss.mmi, self.grammar)
            self.history.add(name, progress.step, {"passes": progress.passes, **vars(results[name])})
        self.average.swap(self.model)
        progress.results = {name: vars(result) for name, result in results.items()}
        loss = float(np.mean([result.loss for result in results.values()])) if results else math.nan
        progress.since_best += 1
        if loss < progress.best_loss:
            progress.best_loss, progress.since_best = loss, 0
            self.save("best.pt")
        elif progress.since_best >= self.recipe.optimisation.patience:
            self.schedule.decay_now(progress.passes)
        self.history.draw()

    def _development(self, batches: Batches) -> Iterator[tuple[Tensor, Tensor, Targets, list[str]]]:
        for batch in batches.stream(end_epoch=1):
            frames = frames_of(torch.from_numpy(batch.lengths), 1.0)
            yield torch.from_numpy(batch.samples).to(self.device), frames, self.units.targets(batch.texts), self.units.normal(batch.texts)


def draw_latency(config: LatencyConfig, chance: torch.Generator) -> Latency | None:
    """Full context (None) or a random chunk and right context."""
    if torch.rand((), generator=chance) < config.full_part:
        return None
    chunk = config.chunks[torch.randint(len(config.chunks), (), generator=chance)]
    right = int(torch.randint(config.right_from, config.right_to + 1, (), generator=chance))
    return Latency(chunk, min(right, chunk))


def draw_warp(warps: Sequence[float], chance: torch.Generator) -> float:
    """One of the factors."""
    return warps[torch.randint(len(warps), (), generator=chance)]


def frames_of(lengths: Tensor, speed: float) -> Tensor:
    """Output frames of utterances of `lengths` samples (N,) read at a speed; as AcousticModel.log_mel counts them."""
    return -(-lengths // (REDUCTION * round(SHIFT_SAMPLES * speed))) + 1


class _Window:
    """Means over the steps since the last report."""

    def __init__(self):
        self.began, self.audio_s, self.rate, self.terms = time.monotonic(), 0.0, 0.0, []

    def add(self, loss: Loss, batch: Batch, rate: float, team_size: int) -> None:
        self.terms.append({"loss": loss.total.item(), "phones": loss.phones.item(), "pieces": loss.pieces.item(),
                           **{name: value.item() for name in ("teacher", "risk") if (value := getattr(loss, name)) is not None}})
        self.audio_s += batch.samples.size / RATE_HZ * team_size
        self.rate = rate

    def numbers(self) -> dict[str, float]:
        names = dict.fromkeys(name for terms in self.terms for name in terms)      # a batch may be without hypotheses
        means = {name: float(np.mean([terms[name] for terms in self.terms if name in terms])) for name in names}
        return {**means, "rate": self.rate, "audio_per_s": self.audio_s / (time.monotonic() - self.began)}
