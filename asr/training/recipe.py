"""A recipe: one TOML file that names the data and every size of a run, read into frozen dataclasses.

Sections: [model], [data], [augmentation], [masking], [latency], [loss], [optimisation]; a missing key keeps its default, an unknown one
is an error that lists the known ones.
"""

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.config import ENCODERS, ModelConfig
from asr.errors import DataError
from asr.training.augmentation import AugmentationConfig
from asr.training.compared import HEADS
from asr.training.losses import LossConfig
from asr.training.masking import MaskingConfig
from asr.training.optimisation import OptimisationConfig

RECIPES = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class DataConfig:
    """Which sets, and how batches are made of them."""

    sets: tuple[str, ...] = ()           # names in the --speech folder, or paths
    development: tuple[str, ...] = ()    # sets that early stopping and the curves look at
    development_utterances: int = 120    # of each development set
    repeats: dict[str, float] = field(default_factory=dict)      # set -> part of it drawn each pass, default 1
    batch_seconds: float = 240.0
    max_seconds: float = 20.0
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)      # one a batch
    warps: tuple[float, ...] = (1.0,)    # one a batch: all frequencies that many times as high, as by a shorter vocal tract
    margin_s: tuple[float, float] = (0.0, 0.3)       # of near-silence before and after each utterance
    join: float = 0.1                    # probability that short utterances are joined into a longer one
    noise_only: float = 0.01             # part of the rows that are noise without words
    shortest_first: bool = True          # in the first pass
    pieces: int = 500                    # word pieces, blank included
    seed: int = 1


@dataclass(frozen=True)
class LatencyConfig:
    """What latencies a batch is trained at: full context, else chunks of 2^k frames and a right context, drawn at random."""

    full_part: float = 0.5
    chunks: tuple[int, ...] = (4, 8, 16, 32)
    right_from: int = 3
    right_to: int = 12


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run, but the folders it reads and writes."""

    name: str
    model: ModelConfig
    data: DataConfig
    augmentation: AugmentationConfig
    masking: MaskingConfig
    latency: LatencyConfig
    loss: LossConfig
    optimisation: OptimisationConfig
    source: dict = field(default_factory=dict)      # as read, kept in the checkpoint


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe by its name in asr/training/recipes or by path, with `section.key=value` changes of it.

    Raises DataError naming the file and the key.
    """
    path = RECIPES / f"{name}.toml" if (RECIPES / f"{name}.toml").is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise DataError(f"{name}: no such recipe; known ones: {known}; or give the path of a TOML file")
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a TOML file ({error})") from None
    for change in changes:
        section, key, value = _change(change)
        values.setdefault(section, {})[key] = value
    return recipe_of(values, path.stem, str(path))


def recipe_of(values: dict, name: str, where: str) -> Recipe:
    """A recipe from the dict that its TOML file holds."""
    sections = {"model": ModelConfig, "data": DataConfig, "augmentation": AugmentationConfig, "masking": MaskingConfig,
                "latency": LatencyConfig, "loss": LossConfig, "optimisation": OptimisationConfig}
    unknown = values.keys() - sections.keys()
    if unknown:
        raise DataError(f"{where}: unknown section [{sorted(unknown)[0]}]; known ones: {', '.join(sections)}")
    made = {section: _section(cls, values.get(section, {}), section, where) for section, cls in sections.items()}
    if made["model"].encoder not in ENCODERS:
        raise DataError(f"{where}: no encoder {made['model'].encoder!r} in [model]; there are {', '.join(ENCODERS)}")
    if made["model"].encoder == "gru-attention" and 2 * made["model"].hidden % HEADS:
        raise DataError(f"{where}: hidden = {made['model'].hidden} in [model]; gru-attention wants a multiple of {HEADS // 2}")
    if made["model"].encoder != ENCODERS[0] and made["latency"].full_part < 1:
        raise DataError(f"{where}: only the encoder {ENCODERS[0]} learns in chunks; set full_part = 1 in [latency]")
    if made["loss"].risk and made["loss"].hypotheses < 2:
        raise DataError(f"{where}: hypotheses = {made['loss'].hypotheses} in [loss]; risk compares 2 or more")
    if made["loss"].risk and made["loss"].risk_scale <= 0:
        raise DataError(f"{where}: risk_scale = {made['loss'].risk_scale:g} in [loss]; expected more than 0, at most 1 as a rule")
    return Recipe(name=name, source=values, **made)


def _change(change: str) -> tuple[str, str, object]:
    name, sign, value = change.partition("=")
    section, dot, key = name.strip().partition(".")
    if not sign or not dot:
        raise DataError(f"{change}: not a change of a recipe; write section.key=value, as model.layers=4")
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()                                  # a word need not be quoted


def _section(cls, values: dict, section: str, where: str):
    known = {f.name for f in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise DataError(f"{where}: unknown key {key} in [{section}]; known ones: {', '.join(sorted(known))}")
        usual = getattr(cls(), key)
        if not _is_like(value, usual):
            raise DataError(f"{where}: {key} = {value!r} in [{section}]; expected something like {usual!r}")
    return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


def _is_like(value, usual) -> bool:
    """Whether a value of a TOML file has the type of the usual one; a whole number is a float, too, and an empty list is one of words."""
    if isinstance(usual, tuple):
        return isinstance(value, list) and all(_is_like(part, usual[0] if usual else "") for part in value)
    if isinstance(usual, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(usual)
