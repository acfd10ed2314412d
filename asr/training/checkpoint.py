"""Checkpoints: one file that tells everything about the model, written beside and renamed.

`model` holds what export needs: configuration, units, the averaged weights. `training` holds what `--resume` needs besides: current
weights, optimiser, schedule, place in the data, random states. A compact checkpoint, for keeping in version control, has everything in
bfloat16 and leaves out the optimiser's first moments, which ten steps rebuild.
"""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr.config import ModelConfig
from asr.errors import CheckpointError
from asr.training.model import AcousticModel

FORMAT = 1


@dataclass
class Checkpoint:
    """What a file holds; `training` is None in one that was only made for export."""

    config: ModelConfig
    phones: list[str]                # units of the first head, blank first
    pieces: list[str]                # units of the second head
    piece_model: bytes               # sentencepiece model that made the pieces
    weights: dict[str, Tensor]       # averaged weights and buffers, as AcousticModel.state_dict()
    recipe: dict                     # the recipe as read
    progress: dict                   # passes, steps, hours, development results
    training: dict | None = None

    def model(self) -> AcousticModel:
        """The model with its averaged weights, in evaluation mode."""
        model = AcousticModel(self.config)
        model.load_state_dict(self.weights)
        return model.eval()


def save(checkpoint: Checkpoint, path: str | os.PathLike) -> None:
    """Write beside and rename, so that the file is always whole. Raises CheckpointError where the disk refuses; the old file stays."""
    store({
        "format": FORMAT,
        "config": checkpoint.config.to_dict(),
        "phones": checkpoint.phones,
        "pieces": checkpoint.pieces,
        "piece_model": torch.frombuffer(bytearray(checkpoint.piece_model), dtype=torch.uint8),
        "weights": checkpoint.weights,
        "recipe": checkpoint.recipe,
        "progress": checkpoint.progress,
        "training": checkpoint.training,
    }, Path(path), "go on with --resume")


def store(content: dict, path: Path, then: str) -> None:
    """What `save` does, for any content; `then` is what the user does once there is room. Raises CheckpointError."""
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"{path}: cannot write the checkpoint ({error}); the last one is kept: free some room, "
                              f"then {then}") from None


def load(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint. Raises CheckpointError for a missing or corrupt file, or one of a newer format."""
    content = fetch(path, FORMAT, "`asr train` writes last.pt and best.pt into its run folder")
    return Checkpoint(
        config=ModelConfig.from_dict(content["config"]),
        phones=content["phones"],
        pieces=content["pieces"],
        piece_model=bytes(content["piece_model"].numpy()),
        weights={name: t.float() for name, t in content["weights"].items()},
        recipe=content["recipe"],
        progress=content["progress"],
        training=content["training"],
    )


def fetch(path: str | os.PathLike, newest: int, origin: str) -> dict:
    """What `store` wrote. Raises CheckpointError for a missing or corrupt file, which says whence one comes, and for a newer format."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint; {origin}") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, LookupError, ValueError):      # what garbage makes of torch.load
        raise CheckpointError(f"{path}: not a checkpoint, or cut short; use another, or train again") from None
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of this program; {origin}")
    if content["format"] > newest:
        raise CheckpointError(f"{path}: checkpoint format {content['format']}, this program reads up to {newest}; update asr")
    return content


def compact(checkpoint: Checkpoint) -> Checkpoint:
    """The same in bfloat16 without first moments, a quarter of the size; a run resumes from it."""
    training = checkpoint.training and {**checkpoint.training, "optimiser": _without_first_moments(checkpoint.training["optimiser"])}
    return Checkpoint(**{**vars(checkpoint), "weights": _half(checkpoint.weights), "training": _half(training)})


def _without_first_moments(optimiser: dict) -> dict:
    state = {i: {name: t for name, t in s.items() if name != "exp_avg"} for i, s in optimiser["state"].items()}
    return {**optimiser, "state": state}


def restore_first_moments(optimiser: dict) -> dict:
    """An optimiser's state as AdamW needs it: float32, first moments zero where a compact checkpoint left them out."""
    state = {}
    for i, held in optimiser["state"].items():
        second = held["exp_avg_sq"].float()
        first = held["exp_avg"].float() if "exp_avg" in held else torch.zeros_like(second)
        state[i] = {"step": held["step"].float(), "exp_avg": first, "exp_avg_sq": second}
    return {**optimiser, "state": state}


def _half(value):
    """Matrices of float32 anywhere in a nest of dicts and lists -> bfloat16."""
    if isinstance(value, dict):
        return {k: _half(v) for k, v in value.items()}
    if isinstance(value, Tensor) and value.dtype == torch.float32 and value.ndim > 1:
        return value.bfloat16()
    return value
