"""export/average.py: the mean of models that began as one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from asr.bundle import load_bundle
from asr.cli import commands
from asr.config import ModelConfig
from asr.errors import CheckpointError
from asr.training import checkpoint
from asr.units import PHONES
from export.average import average
from export.restore import checkpoint_of
from tests.tiny import PIECES, tiny_checkpoint


def saved(folder: Path, name: str, **changes) -> Path:
    """A tiny model's checkpoint file; `changes` are those of tiny_checkpoint."""
    checkpoint.save(tiny_checkpoint(**changes), folder / name)
    return folder / name


def test_weights_are_the_mean(tmp_path):
    """Each counts as often as it is named."""
    paths = [saved(tmp_path, "a.pt", seed=2), saved(tmp_path, "b.pt", seed=3)]
    first, second = (checkpoint.load(path).weights for path in paths)
    for times in (1, 2):
        mean = average([paths[0], *paths[1:] * times])
        assert mean.training is None
        for name, weights in mean.weights.items():
            torch.testing.assert_close(weights, (first[name] + times * second[name]) / (1 + times))


def test_command_exports_the_mean_of_a_bundle_and_a_checkpoint(tiny_bundle, tmp_path, monkeypatch):
    """`asr export BUNDLE NEW --average CHECKPOINT`: what is written holds the mean, to the half precision of its file."""
    monkeypatch.setattr("export.parity.LENGTHS_S", (0.3,))
    other = saved(tmp_path, "b.pt", seed=5)
    done = CliRunner().invoke(commands, ["export", str(tiny_bundle.folder), str(tmp_path / "mean"), "--average", str(other)])
    assert done.exit_code == 0, done.output
    ours, theirs = checkpoint_of(tiny_bundle).weights, checkpoint.load(other).weights
    for name, weights in checkpoint_of(load_bundle(tmp_path / "mean")).weights.items():
        torch.testing.assert_close(weights, (ours[name] + theirs[name]) / 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("changes", "message"), [
    ({"config": ModelConfig(conv_channels=4, layers=1, hidden=16, phones=len(PHONES), pieces=32)}, "other sizes than"),
    ({}, "units are others than"),
])
def test_another_model_is_refused_by_name(tmp_path, changes, message):
    """Sizes or units that differ are told with the file that has them."""
    first, other = saved(tmp_path, "a.pt"), tmp_path / "other.pt"
    checkpoint.save(replace(tiny_checkpoint(**changes), pieces=PIECES[::-1]), other)
    with pytest.raises(CheckpointError, match=f"other.pt: .*{message} .*a.pt"):
        average([first, other])
