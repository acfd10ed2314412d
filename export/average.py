"""The mean of several models' weights, exported as one: where each trained on from common weights, it is often better than any of them.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference time"
(arXiv 2203.05482); asr/training/RESULTS.md has what it gave here.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from asr.bundle import load_bundle
from asr.errors import CheckpointError
from asr.training.checkpoint import Checkpoint, load
from export.restore import checkpoint_of


def load_weights(path: Path) -> Checkpoint:
    """A checkpoint file, or a bundle as one. Raises CheckpointError, BundleError."""
    if path.is_dir() or path.suffix == ".asr":
        return checkpoint_of(load_bundle(path))
    return load(path)


def average(paths: Sequence[Path]) -> Checkpoint:
    """The mean of the weights of checkpoints and bundles, all of one model; a path given twice counts twice. For export alone.

    Raises CheckpointError where their sizes or units differ.
    """
    first, *others = held = [load_weights(path) for path in paths]
    for path, other in zip(paths[1:], others, strict=True):
        if replace(other.config, dropout=first.config.dropout) != first.config:
            raise CheckpointError(f"{path}: its model has other sizes than {paths[0]}; average runs that began with one model")
        if (other.phones, other.pieces) != (first.phones, first.pieces):
            raise CheckpointError(f"{path}: its units are others than those of {paths[0]}; average runs that began with one model")
    weights = {name: torch.stack([each.weights[name].float() for each in held]).mean(0) for name in first.weights}
    return replace(first, weights=weights, training=None)
