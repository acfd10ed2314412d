"""From a recipe and folders to a trainer: sets read and decoded once, units made or taken from the checkpoint, banks of noise and rooms."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from asr.bundle import load_bundle
from asr.errors import DataError
from asr.training import checkpoint as checkpoints
from asr.training.audio_store import open_store
from asr.training.augmentation import Augmenter
from asr.training.batches import BatchConfig, Batches, plain
from asr.training.corpora import read_corpus
from asr.training.hypotheses import NBest
from asr.training.loop import Trainer
from asr.training.manifests import Utterance, list_audio
from asr.training.noise import NoiseBank
from asr.training.optimisation import fast_dtype
from asr.training.recipe import DataConfig, Recipe
from asr.training.rooms import RoomBank
from asr.training.teacher import COMMAND, open_teacher
from asr.training.team import Team
from asr.training.units import TrainingUnits

DEVELOPMENT_BATCH_S = 300.0


def prepare(recipe: Recipe, speech: Sequence[Path], noise: Path | None, cache: Path, folder: Path, resume: bool = False,
            start: Path | None = None, teacher: Path | None = None, decoder: Path | None = None, team: Team = Team()) -> Trainer:
    """Everything a run needs, from what the recipe names.

    `speech` are the folders where sets are looked for by name, `noise` a folder of recordings to mix in, `cache` where decoded audio is
    kept, `folder` the run's, `teacher` that of a teacher's encoder and `decoder` a bundle whose decoder finds hypotheses, if the recipe
    wants them. With `resume`, units and state come from the run's last.pt; with `start`, units and weights from that checkpoint. Raises
    DataError, BundleError or CheckpointError in one line.
    """
    check_teacher(recipe, teacher)
    check_decoder(recipe, decoder)
    n_best = NBest.open(decoder, recipe.loss.hypotheses) if decoder else None
    source = folder / "last.pt" if resume else start
    held = checkpoints.load(source) if source else None
    told = None if team.leads else team.tell(None)                          # followers wait until all is decoded and heard
    store = open_store({Path(name).name: read_corpus(find_set(name, speech)) for name in recipe.data.sets}, cache, progress=team.leads)
    heard = open_teacher(teacher, store, cache, progress=team.leads) if teacher else None
    if team.leads and held:
        told = team.tell(held.piece_model)
    elif team.leads:
        told = team.tell(TrainingUnits.trained_on((u.text for u in store.utterances), recipe.data.pieces).piece_model)
    units = TrainingUnits(told)
    recipe = replace(recipe, model=replace(recipe.model, phones=len(units.phones), pieces=len(units.pieces)))
    batches = Batches(store, batch_config(recipe.data), augmenter(recipe, store, noise, cache), units.needed_frames, team.share)
    development = {} if not team.leads else {
        Path(name).name: development_batches(name, speech, cache, recipe.data, units) for name in recipe.data.development}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    grammar = units.grammar(u.text for u in store.utterances) if recipe.loss.mmi else None
    trainer = Trainer(recipe, batches, development, units, folder, device, team.tell(fast_dtype(device)), team, grammar, heard, n_best)
    if resume:
        trainer.resume(held, source)
    elif held:
        trainer.start_from(held, source)
    else:
        trainer.fit_features()
    return trainer


def check_teacher(recipe: Recipe, teacher: Path | None) -> None:
    """Raises DataError where the recipe wants a teacher and none is given, or the other way round."""
    if recipe.loss.teacher and not teacher:
        raise DataError(f"the recipe learns from a teacher ([loss] teacher): give its folder with --teacher; {COMMAND}")
    if teacher and not recipe.loss.teacher:
        raise DataError("the recipe learns from no teacher: leave out --teacher, or add --set loss.teacher=0.5")


def check_decoder(recipe: Recipe, decoder: Path | None) -> None:
    """Raises DataError where the recipe counts word errors and no bundle is given to find hypotheses, or the other way round, and
    BundleError for one that cannot.
    """
    if recipe.loss.risk and not decoder:
        raise DataError("the recipe counts word errors ([loss] risk): give the bundle that finds hypotheses (its lexicon, n-gram and "
                        "weights) with --decoder, as --decoder asr/models/english")
    if decoder and not recipe.loss.risk:
        raise DataError("the recipe counts no word errors: leave out --decoder, or add --set loss.risk=10")
    if decoder:
        bundle = load_bundle(decoder)
        for name in NBest.FILES:
            bundle.path(name)


def follow(team: Team, *arguments) -> None:
    """Prepare and run as a follower; arguments as for `prepare`, without the team."""
    prepare(*arguments, team=team).run(lambda place, numbers: None)


def find_set(name: str, speech: Sequence[Path]) -> Path:
    """Where a set of a recipe lies: in the first speech folder that has it, or a path of its own."""
    places = [folder / name for folder in speech] or [Path(name)]           # an absolute name stays as it is
    for place in places:
        if place.exists() or place.with_name(place.name + ".tsv").exists():
            return place
    raise DataError(f"{' and '.join(map(str, places))}: no such set (neither a folder nor a .tsv with its .tar); say with --speech where "
                    "the sets are, or take the set out of a copy of the recipe")


def batch_config(data: DataConfig) -> BatchConfig:
    """The part of the recipe that makes batches."""
    return BatchConfig(seed=data.seed, batch_s=data.batch_seconds, max_s=data.max_seconds, speeds=data.speeds, weights=data.repeats,
                       shortest_first=data.shortest_first, margin_s=data.margin_s, join=data.join, empty=data.noise_only)


def augmenter(recipe: Recipe, store, noise: Path | None, cache: Path) -> Augmenter:
    """Distortions with rooms simulated once, synthetic noise, babble of the training set, and recordings where a folder is given."""
    recordings = open_store({noise.name: list_audio(noise)}, cache) if noise else None
    rooms = RoomBank.open(cache) if recipe.augmentation.room else None
    return Augmenter(recipe.augmentation, NoiseBank(recordings, store), rooms)


def development_batches(name: str, speech: Sequence[Path], cache: Path, data: DataConfig, units: TrainingUnits) -> Batches:
    """The first utterances of a development set that fit, spread over its speakers, undistorted."""
    found: list[Utterance] = read_corpus(find_set(name, speech))
    step = max(1, len(found) // data.development_utterances)
    store = open_store({Path(name).name: found[::step]}, cache)
    return Batches(store, plain(DEVELOPMENT_BATCH_S), needed_frames=units.needed_frames)
