"""Learning from a teacher: its states lie where the speech is, are heard once, and a model comes to foresee them."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from asr.config import RATE_HZ, REDUCTION, SHIFT_SAMPLES, WINDOW_SAMPLES
from asr.errors import CheckpointError, DataError
from asr.training import teacher as teachers
from asr.training.audio_store import open_store
from asr.training.batches import BatchConfig, Batches
from asr.training.manifests import read_set
from asr.training.recipe import read_recipe, recipe_of
from asr.training.setup import prepare
from asr.training.teacher import CONVOLUTIONS, Encoder, num_states, open_teacher
from tests.small_sets import HEADER, encoded, write_set
from tests.test_training import run_and_interrupt

SIZE = 4


def write_encoder(folder: Path) -> Path:
    """An encoder with Moonshine's convolutions, each a mean in time, and one layer; its states are SIZE moving powers of the sound."""
    folder.mkdir()
    nodes = [helper.make_node("Mul", ["input_values", "input_values"], ["power"]),
             helper.make_node("Unsqueeze", ["power", "axis"], ["x0"])]
    weights = [numpy_helper.from_array(np.array([1]), "axis")]
    for number, (taps, stride) in enumerate(CONVOLUTIONS):
        kernel = np.full((SIZE, SIZE if number else 1, taps), 1 / taps, np.float32)
        kernel *= np.arange(1, SIZE + 1, dtype=np.float32)[:, None, None]
        weights.append(numpy_helper.from_array(kernel, f"kernel{number}"))
        nodes.append(helper.make_node("Conv", [f"x{number}", f"kernel{number}"], [f"x{number + 1}"], strides=[stride]))
    nodes += [helper.make_node("Transpose", ["x3"], ["/layers.0/input_layernorm/Mul_output_0"], perm=[0, 2, 1]),
              helper.make_node("Neg", ["/layers.0/input_layernorm/Mul_output_0"], ["last_hidden_state"])]
    inputs = [helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"])]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "frames", SIZE])]
    model = helper.make_model(helper.make_graph(nodes, "encoder", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 17)],
                              ir_version=9)
    onnx.save(model, folder / teachers.ENCODER)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with such an encoder."""
    return write_encoder(tmp_path / "teacher")


@pytest.mark.parametrize("num_samples", [0, 446, 1213, 1214, 1598, 16000, 47_999])
def test_states_are_counted_as_the_encoder_makes_them(folder, num_samples):
    """The number of states is known from the length alone, down to utterances too short for one."""
    heard = Encoder(folder).hear(np.ones(num_samples, np.int16))
    assert heard.shape == (num_states(num_samples), SIZE)


@pytest.mark.parametrize("speed", [1.0, 0.9, 1.15])
def test_aims_lie_where_the_speech_is(folder, tmp_path, speed):
    """A click in an utterance is foreseen at the output frame whose window it falls into, at any speed, in joined rows with margins too."""
    clicks = [np.zeros(RATE_HZ, np.float32), np.zeros(2 * RATE_HZ, np.float32), np.zeros(RATE_HZ // 100, np.float32)]
    clicks[0][9000] = clicks[1][21_000] = 0.9
    rows = [HEADER]
    for number, samples in enumerate(clicks):
        (tmp_path / f"click-{number}.wav").write_bytes(encoded(samples, format="WAV"))
        rows.append(f"click-{number}\tnobody\t{len(samples) / RATE_HZ}\tmade\thuman\t\tclick\n")
    (tmp_path / "clicks.tsv").write_text("".join(rows))
    store = open_store({"clicks": read_set(tmp_path / "clicks.tsv")}, tmp_path / "cache", progress=False)
    teacher = open_teacher(folder, store, tmp_path / "cache", progress=False)
    batches = Batches(store, BatchConfig(speeds=(speed,), join=1.0, margin_s=(0.2, 0.5), empty=1.0, min_s=0.0))
    batch = batches.load((0, 0))
    assert sorted(map(len, batch.indices)) == [0, 3]
    row = max(range(len(batch.indices)), key=lambda row: len(batch.indices[row]))
    frames = -(-batch.samples.shape[1] // (REDUCTION * round(SHIFT_SAMPLES * speed))) + 1
    aims, known = teacher.aims(batch, frames)
    assert not known[:, [other for other in range(known.shape[1]) if other != row]].any()
    found = np.flatnonzero(np.abs(batch.samples[row]) > 0.5)                   # the margins are as silent as the clips
    assert len(found) == 2
    silent = aims[known[:, row], row, 0].min()
    loud = (aims[:, row, 0] - silent) * known[:, row]
    at = REDUCTION * round(SHIFT_SAMPLES * speed) * np.arange(frames) + speed * WINDOW_SAMPLES / 2
    for click in found:
        near = np.abs(at - click) < 4000
        centre = (at[near] * loud[near]).sum() / loud[near].sum()
        assert abs(centre - click) < 200                                       # a third of a frame
    for part, start in zip(batch.indices[row], batch.starts[row], strict=True):
        inside = known[(at > start) & (at < start + store.lengths[part]), row]
        assert inside.mean() > 0.9 if store.lengths[part] > 1000 else not inside.any()
    assert known[:, row].sum() < 3 * RATE_HZ / (REDUCTION * SHIFT_SAMPLES * speed)      # none in the margins


def test_speech_is_heard_once(folder, tmp_path, monkeypatch):
    """The cache keeps what was heard, also of the sets before a run was stopped; a set of other lengths is told."""
    sets = {name: read_set(write_set(tmp_path, name, [1.0, 0.5])) for name in ("first", "second")}
    hear, count = Encoder.hear, []

    def hear_or_stop(self, samples):
        count.append(len(samples))
        if len(count) == 4 + 3:                                                # four for the statistics, then one of the second set
            raise KeyboardInterrupt
        return hear(self, samples)

    monkeypatch.setattr(Encoder, "hear", hear_or_stop)
    store = open_store(sets, tmp_path / "cache", progress=False)
    with pytest.raises(KeyboardInterrupt):
        open_teacher(folder, store, tmp_path / "cache", threads=1, progress=False)
    assert not list((tmp_path / "cache").glob("*.part*"))
    monkeypatch.setattr(Encoder, "hear", lambda self, samples: count.append(len(samples)) or hear(self, samples))
    count.clear()
    open_teacher(folder, store, tmp_path / "cache", threads=1, progress=False)
    assert len(count) == 2
    open_teacher(folder, store, tmp_path / "cache", threads=1, progress=False)
    assert len(count) == 2
    first = next((tmp_path / "cache").glob("first-*.npy"))
    np.save(first, np.zeros((3, SIZE), np.int8))
    with pytest.raises(DataError, match="holds other utterances than its set; delete it"):
        open_teacher(folder, store, tmp_path / "cache", threads=1, progress=False)


def recipe_for(path: Path, passes: float, teacher: float = 0.5):
    """The toy recipe, smaller, on one set."""
    values = read_recipe("toy").source
    return recipe_of({
        **values,
        "model": {**values["model"], "hidden": 32},
        "loss": {**values["loss"], "consistency": 0.2, "teacher": teacher},
        "data": {**values["data"], "sets": [str(path)], "development": [], "pieces": 30, "batch_seconds": 4.0},
        "optimisation": {**values["optimisation"], "passes": passes, "warmup_steps": 10, "peak_rate": 4e-3},
    }, "toy", "test")


def test_a_model_foresees_its_teacher(folder, tmp_path):
    """Training with a teacher explains more and more of its states; a run that was stopped goes on with the same map of them."""
    path = write_set(tmp_path, "voices", [1.0, 1.4, 1.8], ["a cat sat", "the dog ran home", "no bird sang here today"])
    whole = prepare(recipe_for(path, 60), (), None, tmp_path / "cache", tmp_path / "whole", teacher=folder)
    whole.run(lambda place, numbers: None)
    missed = [json.loads(line)["teacher"] for line in (tmp_path / "whole" / "history.jsonl").read_text().splitlines()]
    assert missed[-1] < 0.5 * missed[0]

    stopped = prepare(recipe_for(path, 60), (), None, tmp_path / "cache", tmp_path / "stopped", teacher=folder)
    run_and_interrupt(stopped, steps=20)
    resumed = prepare(recipe_for(path, 60), (), None, tmp_path / "cache", tmp_path / "stopped", resume=True, teacher=folder)
    resumed.run(lambda place, numbers: None)
    for name, value in whole.trained.state_dict().items():
        torch.testing.assert_close(resumed.trained.state_dict()[name], value, atol=0, rtol=0)


def test_a_run_keeps_its_teacher(folder, tmp_path):
    """A run is not resumed with another teacher, nor without the one it had."""
    path = write_set(tmp_path, "voices", [1.0, 1.4], ["a cat sat", "the dog ran home"])
    prepare(recipe_for(path, 2), (), None, tmp_path / "cache", tmp_path / "run", teacher=folder).run(lambda place, numbers: None)
    model = onnx.load(folder / teachers.ENCODER)
    model.doc_string = "another"
    onnx.save(model, folder / teachers.ENCODER)
    with pytest.raises(CheckpointError, match="its run had another teacher; keep --teacher"):
        prepare(recipe_for(path, 4), (), None, tmp_path / "cache", tmp_path / "run", resume=True, teacher=folder)
    with pytest.raises(CheckpointError, match="its run had another teacher"):
        prepare(recipe_for(path, 4, 0.0), (), None, tmp_path / "cache", tmp_path / "run", resume=True)


def test_silence_teaches_nothing(folder, tmp_path):
    """Statistics of speech that the teacher cannot hear are not kept for ever."""
    sets = {"long": read_set(write_set(tmp_path, "long", [31.0]))}
    store = open_store(sets, tmp_path / "cache", progress=False)
    with pytest.raises(DataError, match="the teacher hears nothing in 1 utterances"):
        open_teacher(folder, store, tmp_path / "cache", progress=False)
    assert not list((tmp_path / "cache").glob("teacher-*"))


def test_what_is_wrong_with_a_teacher_is_said(folder, tmp_path):
    """A recipe and a folder that do not fit, a folder without a graph, and graphs of other kinds: one line each."""
    path = write_set(tmp_path, "voices", [1.0], ["a cat sat"])

    def told(teacher, weight=0.5):
        with pytest.raises(DataError) as error:
            prepare(recipe_for(path, 1, weight), (), None, tmp_path / "cache", tmp_path / "run", teacher=teacher)
        return str(error.value)

    assert "give its folder with --teacher; npm pack @usefulsensors/moonshine-js@0.1.10" in told(None)
    assert "learns from no teacher: leave out --teacher" in told(folder, 0.0)
    assert "encoder_model.onnx: no such teacher; npm pack" in told(tmp_path / "nowhere")
    (folder / teachers.ENCODER).write_bytes(b"no graph")
    assert "encoder_model.onnx: not an ONNX graph" in told(folder)
    onnx.save(helper.make_model(helper.make_graph([], "empty", [], [])), folder / teachers.ENCODER)
    assert "encoder_model.onnx: not the encoder of Moonshine" in told(folder)
