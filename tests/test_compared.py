"""Comparisons: values of a recipe changed on the command line, and encoders that are trained beside the shipped one."""

import pytest
import torch

from asr.config import ENCODERS, ModelConfig
from asr.errors import BundleError, DataError
from asr.training.checkpoint import Checkpoint
from asr.training.model import AcousticModel
from asr.training.recipe import read_recipe
from export.packaging import export_bundle

SMALL = {"conv_channels": 4, "layers": 2, "hidden": 16, "dropout": 0.2, "phones": 9, "pieces": 12}


def test_a_recipe_is_changed_value_by_value():
    """Numbers, lists and words, in sections that the recipe has or lacks; the source that a checkpoint keeps has them too."""
    recipe = read_recipe("study", ["model.layers=2", "model.encoder=lstm", "data.speeds=[1.0]", "loss.mmi = 0.5", 'data.sets=["a", "b"]'])
    assert (recipe.model.layers, recipe.model.encoder, recipe.data.speeds, recipe.loss.mmi) == (2, "lstm", (1.0,), 0.5)
    assert recipe.data.sets == ("a", "b")
    assert recipe.source["model"] == {"layers": 2, "hidden": 192, "encoder": "lstm"}


@pytest.mark.parametrize(("change", "message"), [
    ("layers=2", "not a change of a recipe; write section.key=value"),
    ("model.layers", "not a change of a recipe"),
    ("model.depth=2", r"unknown key depth in \[model\]"),
    ("models.layers=2", r"unknown section \[models\]"),
    ("model.layers=two", r"layers = 'two' in \[model\]; expected something like 4"),
    ("optimisation.passes=12x", "passes = '12x'"),
    ("data.sets=train-x", "sets = 'train-x'"),
    ("data.speeds=[1, true]", "expected something like"),
    ("loss.teacher=", "teacher = ''"),
    ("model.encoder=transformer", "no encoder 'transformer' in .model.; there are gru, lstm, rnn"),
])
def test_a_wrong_change_is_told(change, message):
    """What is wrong with it, in one line."""
    with pytest.raises(DataError, match=message):
        read_recipe("study", [change])


def test_other_encoders_train_at_full_context_alone():
    """A recipe with chunks says so before anything is read, as does one whose width attention cannot share among its heads."""
    with pytest.raises(DataError, match="gru-attention wants a multiple of 4"):
        read_recipe("study", ["model.encoder=gru-attention", "model.hidden=190"])
    with pytest.raises(DataError, match="only the encoder gru learns in chunks"):
        read_recipe("english", ["model.encoder=rnn"])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_learns(encoder):
    """A few steps on one batch bring the loss of the phones down, and every weight takes part."""
    torch.manual_seed(0)
    model = AcousticModel(ModelConfig(**SMALL, encoder=encoder)).train()
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    mel, losses = torch.randn(3, 4 * 20 + 3, 80), []
    targets = torch.randint(1, 9, (3, 5))
    for _ in range(60):
        phones, pieces, halfway, top = model.forward_all(mel, None, torch.float32)
        assert (len(top), halfway.shape) == (20, phones.shape)
        loss = sum(torch.nn.functional.ctc_loss(out, targets, torch.full((3,), 20), torch.full((3,), 5)) for out in (phones, pieces))
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_one_direction_sees_nothing_of_the_future():
    """The encoder of one direction gives the same for the same beginning, whatever follows; the shipped one does not."""
    for encoder, same in (("gru-forward", True), ("gru", False)):
        torch.manual_seed(1)
        model = AcousticModel(ModelConfig(**SMALL, encoder=encoder)).eval()
        mel = torch.randn(1, 4 * 20 + 3, 80)
        other = torch.cat([mel[:, :43], torch.randn(1, 40, 80)], dim=1)
        first, second = (model(either, None)[0][:10] for either in (mel, other))
        assert torch.allclose(first, second, atol=1e-5) == same


def test_only_the_shipped_encoder_is_told_of_and_exported(tmp_path):
    """A model of it has a configuration that older versions read; one of another keeps its encoder's name and makes no bundle."""
    assert "encoder" not in ModelConfig(**SMALL).to_dict()
    config = ModelConfig(**SMALL, encoder="rnn")
    assert ModelConfig.from_dict(config.to_dict()) == config
    held = Checkpoint(config, ["-"] * 9, ["-"] * 12, b"", AcousticModel(config).state_dict(), {}, {})
    with pytest.raises(BundleError, match="the encoder rnn is for comparison and cannot be exported"):
        export_bundle(held, tmp_path / "bundle", "other")
