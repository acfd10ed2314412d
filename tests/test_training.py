"""Training: a tiny model learns a handful of utterances by heart, and a run that was stopped goes on as if it had not been."""

import json
from dataclasses import replace

import pytest
import torch

from asr.commands.train import restored
from asr.errors import BundleError, CheckpointError, DataError
from asr.training import checkpoint as checkpoints
from asr.training.evaluate import best_path
from asr.training.recipe import read_recipe, recipe_of
from asr.training.setup import find_set, prepare
from export.packaging import export_bundle
from export.restore import checkpoint_of
from tests.tiny import tiny_checkpoint

CLIPS = 3


@pytest.fixture
def clips(recordings, tmp_path):
    """A folder set of the shortest recordings."""
    header, *rows = (recordings / "recordings.tsv").read_text("utf-8").splitlines()
    seconds, file = header.split("\t").index("seconds"), header.split("\t").index("file")
    rows = sorted(rows, key=lambda row: float(row.split("\t")[seconds]))[:CLIPS]
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "clips.tsv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    for row in rows:
        name = row.split("\t")[file]
        (folder / name).write_bytes((recordings / name).read_bytes())
    return folder


def toy(clips, passes, loss=None, **optimisation):
    """The toy recipe on the clips, smaller still."""
    values = read_recipe("toy").source
    return recipe_of({
        **values,
        "model": {**values["model"], "hidden": 64},
        "latency": {"full_part": 1.0},
        "loss": {**values["loss"], **(loss or {})},
        "data": {**values["data"], "sets": [str(clips)], "development": [str(clips)], "pieces": 40, "batch_seconds": 15.0},
        "optimisation": {**values["optimisation"], "passes": passes, **optimisation},
    }, "toy", "test")


def trainer_of(recipe, tmp_path, run, resume=False):
    """A trainer of the recipe without noise, in its own run folder."""
    return prepare(recipe, (), None, tmp_path / "cache", tmp_path / run, resume)


def run_and_interrupt(trainer, steps):
    """Run and press Ctrl-C after so many steps."""
    step = trainer._step

    def step_or_interrupt(batch, rate):
        if trainer.progress.step == steps:
            raise KeyboardInterrupt
        return step(batch, rate)
    trainer._step = step_or_interrupt
    with pytest.raises(KeyboardInterrupt):
        trainer.run(lambda place, numbers: None)


@pytest.mark.parametrize("loss", [{}, {"mmi": 0.9, "consistency": 0.2}])
def test_overfits_a_handful_of_utterances(clips, tmp_path, loss):
    """A tiny model drives the loss of three utterances to zero, and reads them back without an error; also by MMI, from two views."""
    trainer = trainer_of(toy(clips, passes=120, loss=loss, warmup_steps=20, peak_rate=4e-3), tmp_path, "run")
    trainer.run(lambda place, numbers: None)
    result = trainer.progress.results["clips"]
    assert result["loss"] < 0.1
    assert result["phone_error"] == 0
    assert result["word_error"] == 0
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
    kinds = {json.loads(line)["kind"] for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()}
    assert kinds == {"train", "clips"}


def test_stopped_run_goes_on_as_if_it_had_not_been(clips, tmp_path):
    """Training, stopped by Ctrl-C and resumed, ends with the very weights of a run that was never stopped."""
    recipe = toy(clips, passes=8)
    whole = trainer_of(recipe, tmp_path, "whole")
    whole.run(lambda place, numbers: None)

    run_and_interrupt(trainer_of(recipe, tmp_path, "stopped"), steps=3)
    resumed = trainer_of(recipe, tmp_path, "stopped", resume=True)
    assert resumed.progress.step == 3
    resumed.run(lambda place, numbers: None)

    assert resumed.progress.step == whole.progress.step > 4
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, atol=0, rtol=0)
    for name, value in whole.average.weights.items():
        torch.testing.assert_close(resumed.average.weights[name], value, atol=0, rtol=0)


def test_compact_checkpoint_resumes(clips, tmp_path):
    """A compact checkpoint is a fraction of the size, and a run goes on from it."""
    trainer = trainer_of(toy(clips, passes=4), tmp_path, "run")
    run_and_interrupt(trainer, steps=3)
    path = tmp_path / "run" / "last.pt"
    whole = path.stat().st_size
    checkpoints.save(checkpoints.compact(checkpoints.load(path)), path)
    assert path.stat().st_size < 0.55 * whole
    resumed = trainer_of(toy(clips, passes=4), tmp_path, "run", resume=True)
    assert resumed.progress.step == trainer.progress.step > 0
    resumed.run(lambda place, numbers: None)
    assert resumed.progress.passes >= 4


def test_a_run_begins_with_another_ones_weights(clips, tmp_path):
    """A run that starts from a checkpoint has its averaged weights and units, and a schedule of its own."""
    first = trainer_of(toy(clips, passes=4), tmp_path, "first")
    run_and_interrupt(first, steps=3)
    start = tmp_path / "first" / "last.pt"
    second = prepare(toy(clips, passes=4), (), None, tmp_path / "cache", tmp_path / "second", start=start)
    assert second.progress.step == 0
    assert second.units.pieces == first.units.pieces
    for name, value in first.average.weights.items():
        torch.testing.assert_close(second.model.get_parameter(name).detach(), value, atol=0, rtol=0)


def test_a_run_begins_with_a_bundles_weights(clips, tmp_path):
    """A bundle gives back the checkpoint it was exported from, its matrices in half precision and all else bit by bit, and
    `--start BUNDLE` trains on from it, with its units.
    """
    first = trainer_of(toy(clips, passes=4), tmp_path, "first")
    run_and_interrupt(first, steps=3)
    held = checkpoints.load(tmp_path / "first" / "last.pt")
    bundle, _ = export_bundle(held, tmp_path / "bundle.asr", "toy", lengths_s=(0.3,))
    back = checkpoint_of(bundle)
    assert (back.config, back.phones, back.pieces, back.piece_model) == (held.config, held.phones, held.pieces, held.piece_model)
    assert back.weights.keys() == held.weights.keys()
    for name, value in held.weights.items():
        torch.testing.assert_close(back.weights[name], value.half().float() if value.ndim > 1 else value, atol=0, rtol=0)
    second = prepare(toy(clips, passes=4), (), None, tmp_path / "cache", tmp_path / "second",
                     start=restored(tmp_path / "bundle.asr", tmp_path / "second"))
    assert second.progress.step == 0
    assert second.units.pieces == first.units.pieces
    second.run(lambda place, numbers: None)
    assert second.progress.passes >= 4


def test_a_bundle_without_pieces_cannot_be_trained_on(tmp_path):
    """What an older bundle lacks for training is named."""
    bundle, _ = export_bundle(tiny_checkpoint(), tmp_path / "bundle", "tiny", lengths_s=(0.3,))
    with pytest.raises(BundleError, match="has no pieces.model, which training needs"):
        checkpoint_of(replace(bundle, files=tuple(name for name in bundle.files if name != "pieces.model")))


def test_a_finished_run_goes_on_when_asked_for_more(clips, tmp_path):
    """A run at the end of its schedule, resumed with more passes, trains on; resumed with the same, it is at its end."""
    trainer_of(toy(clips, passes=2), tmp_path, "run").run(lambda place, numbers: None)
    more = trainer_of(toy(clips, passes=4), tmp_path, "run", resume=True)
    assert more.schedule.rate(1000, more.progress.passes) > 0
    more.run(lambda place, numbers: None)
    assert more.progress.passes >= 4


def test_more_passes_lift_a_rate_that_was_falling(clips, tmp_path):
    """A run stopped in its decay keeps its schedule, unless it is resumed with more passes than were planned."""
    stopped = trainer_of(toy(clips, passes=4, decay_part=1.0), tmp_path, "run")
    run_and_interrupt(stopped, steps=3)
    rates = []
    for passes in (4, 40):
        resumed = trainer_of(toy(clips, passes=passes, decay_part=1.0), tmp_path, "run", resume=True)
        rates.append(resumed.schedule.rate(1000, resumed.progress.passes))
    assert rates[1] > 2 * rates[0] > 0


def test_a_resumed_run_has_each_step_once_in_its_history(clips, tmp_path):
    """Steps done after the checkpoint, and lost with it, are not in the curves."""
    run_and_interrupt(trainer_of(toy(clips, passes=4), tmp_path, "run"), steps=3)
    history = tmp_path / "run" / "history.jsonl"
    with open(history, "a", encoding="utf-8") as file:
        file.writelines(json.dumps({"kind": "train", "step": step}) + "\n" for step in (2, 3, 4, 900))
    trainer_of(toy(clips, passes=4), tmp_path, "run", resume=True)
    assert [json.loads(line)["step"] for line in history.read_text("utf-8").splitlines()] == [2, 3]


def test_another_dropout_fits_and_another_size_does_not(clips, tmp_path):
    """A checkpoint may go on with more or less dropout; other sizes give one line."""
    run_and_interrupt(trainer_of(toy(clips, passes=4), tmp_path, "run"), steps=3)
    recipe = toy(clips, passes=4)
    trainer_of(replace(recipe, model=replace(recipe.model, dropout=0.3)), tmp_path, "run", resume=True)
    with pytest.raises(CheckpointError, match="last.pt: its model has other sizes"):
        trainer_of(replace(recipe, model=replace(recipe.model, hidden=128)), tmp_path, "run", resume=True)


def test_disk_full_keeps_the_last_checkpoint(clips, tmp_path, monkeypatch):
    """Where a checkpoint cannot be written, one line says so and the one before is whole."""
    trainer = trainer_of(toy(clips, passes=4), tmp_path, "run")
    path = trainer.save("last.pt")
    before = path.read_bytes()

    def no_space(content, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(CheckpointError, match="No space left on device.*--resume"):
        trainer.save("last.pt")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.glob("*.partial")] == []


@pytest.mark.parametrize(("content", "message"), [
    (None, "no such checkpoint"),
    (b"", "not a checkpoint"),
    (b"some text", "not a checkpoint"),
])
def test_bad_checkpoints_are_named(tmp_path, content, message):
    """A missing, empty or foreign file gives one line with its name."""
    path = tmp_path / "last.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_checkpoint_is_named(clips, tmp_path):
    """A checkpoint cut in half gives one line."""
    path = trainer_of(toy(clips, passes=4), tmp_path, "run").save("last.pt")
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cut short"):
        checkpoints.load(path)


def test_unknown_recipe_key_lists_known_ones(tmp_path):
    """A misspelt key in a recipe is named with its section, and the known ones are listed."""
    path = tmp_path / "mine.toml"
    path.write_text("[optimisation]\nlearning_rate = 1\n", "utf-8")
    with pytest.raises(DataError, match=r"unknown key learning_rate in \[optimisation\]; known ones: .*peak_rate"):
        read_recipe(str(path))
    with pytest.raises(DataError, match="known ones: agree, english, further, study, toy"):
        read_recipe("englisch")


def test_best_path_merges_and_drops():
    """Repeats are merged and blanks dropped, in this order."""
    ids = torch.tensor([0, 3, 3, 0, 3, 5, 5, 0])
    assert best_path(torch.nn.functional.one_hot(ids, 6).float()) == [3, 3, 5]


def test_sets_are_looked_for_in_several_folders(tmp_path):
    """The first folder that has a set gives it; where none has, all places are named."""
    for folder, name in [("one", "a"), ("two", "a"), ("two", "b")]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.tsv").touch()
    folders = (tmp_path / "one", tmp_path / "two")
    assert [find_set(name, folders) for name in "ab"] == [tmp_path / "one" / "a", tmp_path / "two" / "b"]
    with pytest.raises(DataError, match=r"one/c and .*two/c: no such set"):
        find_set("c", folders)
