"""export/: the graphs compute what the model computes, int8 is exact on every CPU, and a graph that does not agree is never shipped."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from asr.bundle import load_bundle
from asr.cli import commands, main
from asr.client.acoustic import FILES, Acoustic, AcousticStream
from asr.config import LATENCIES, ModelConfig, num_frames
from asr.decoding.emission import Emission
from asr.errors import BundleError
from asr.training import checkpoint
from asr.training.model import AcousticModel
from export import packaging
from export.acoustic import acoustic_graph, operations
from export.packaging import FEATURES_FILE, add_error_rates, export_bundle
from export.parity import babble, check, saturation, table
from export.quantise import quantise
from tests.tiny import LEXICON, language_folder, tiny_checkpoint

LENGTHS_S = (0.01, 0.3, 0.5, 1.7, 4.9)


@pytest.fixture(autouse=True)
def own_cache(exported, tmp_path, monkeypatch):
    """No test reads what another remembered. After `exported`, since torch keeps its compiled GRU in the same place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    """The tiny checkpoint's model, rounded as it is exported."""
    return packaging.with_half_weights(tiny_checkpoint().model())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A bundle with every optional part, and the parity cases that its export went through."""
    folder = tmp_path_factory.mktemp("export")
    return export_bundle(tiny_checkpoint(), folder / "bundle", "tiny", language_folder(folder / "language"), licence="CC0-1.0",
                         features_input=True, lengths_s=LENGTHS_S)


def run(proto: onnx.ModelProto, **inputs) -> list[np.ndarray]:
    """Outputs of a graph: phones, pieces, then the next states."""
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)


def state_inputs(model: AcousticModel, keep: int) -> dict[str, np.ndarray]:
    """A state that a stream could be in, and how far it is to advance."""
    random = np.random.default_rng(3)
    hidden = random.uniform(-0.9, 0.9, (model.config.layers, 1, model.config.hidden)).astype(np.float32)
    return {"history": random.uniform(-0.2, 0.2, (1, 480)).astype(np.float32), "hidden": hidden, "keep": np.array(keep)}


def test_parity_at_every_length_and_latency(exported):
    """Both graphs were compared at five lengths, whole and at each latency: float to 1e-3, int8 with nearly always the same best phone."""
    _, cases = exported
    assert len(cases) == len(LENGTHS_S) * (1 + len(LATENCIES)) * 2
    assert {(case.length_s, case.mode) for case in cases} == {(s, m) for s in LENGTHS_S
                                                             for m in ("whole", *(f"{ms} ms chunks" for ms in LATENCIES))}
    assert max(case.largest for case in cases if case.precision == "float") < 1e-3
    int8 = [case for case in cases if case.precision == "int8"]
    assert 0 < max(case.mean for case in int8) < 0.1                         # 0 would mean that nothing was quantised
    assert sum(case.agreement * case.frames for case in int8) / sum(case.frames for case in int8) > 0.93
    assert len(table(cases).splitlines()) == 1 + 2 * (1 + len(LATENCIES))


@pytest.mark.parametrize("latency", [None, *LATENCIES.values()], ids=["whole", *map(str, LATENCIES)])
def test_streaming_equals_the_forward_pass_of_training(exported, model, latency):
    """What a client streams from the float graph is what the model was trained to compute in one pass over the utterance."""
    samples, acoustic = babble(3.3), Acoustic(exported[0], "float")
    if latency:
        stream = AcousticStream(acoustic, latency)
        found = Emission.concatenate([*stream.feed(samples), stream.flush()])
    else:
        found = acoustic.whole(samples)
    with torch.inference_mode():
        phones, pieces = model(model.log_mel(torch.from_numpy(samples)[None]), latency)
    # the tail is one block with all of its context, the forward pass ends in blocks of silence: compare the frames before it
    frames = len(found) - (latency.block + 2 if latency else 0)
    assert frames > 20
    np.testing.assert_allclose(found.phones[:frames], phones[:frames, 0], atol=1e-3)
    np.testing.assert_allclose(found.pieces[:frames], pieces[:frames, 0], atol=1e-3)


@pytest.mark.parametrize("operator", [True, False], ids=["GRU operator", "Scan"])
@pytest.mark.parametrize("keep", [1, 5, 11])
def test_both_forms_of_the_gru_equal_torch(model, operator, keep):
    """From any state, each output of a block and the state after `keep` frames are torch's, with either form of the recurrence."""
    samples = babble(0.5)[None, :7400]
    inputs = state_inputs(model, keep)
    with torch.inference_mode():
        expected = model.block(torch.from_numpy(samples), torch.from_numpy(inputs["history"]), torch.from_numpy(inputs["hidden"]), keep)
    found = run(acoustic_graph(model, operator=operator), samples=samples, **inputs)
    assert found[0].shape[1] == num_frames(7400) == 11
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_graph_without_log_mel_equals_the_one_with_it(exported, model):
    """A runtime that brings its own log-mel (natural logarithm, not normalised) gets the same log-probabilities and states."""
    samples, inputs = babble(0.5)[None, :7400], state_inputs(model, 4)
    joined = torch.from_numpy(np.concatenate([inputs["history"], samples], axis=1))
    with torch.inference_mode():
        features = model.features.log_mel(joined).numpy()
    whole = run(onnx.load(exported[0].path(FILES["float"])), samples=samples, **inputs)
    inputs.pop("history")
    cut = run(onnx.load(exported[0].path(FEATURES_FILE)), features=features, **inputs)
    for i, j in ((0, 0), (1, 1), (2, 3)):                                    # phones, pieces, next hidden
        np.testing.assert_allclose(cut[i], whole[j], atol=1e-4)


def test_all_products_are_int8_and_the_rest_is_float(exported):
    """Input gates, recurrences, projection and heads are integer products, inside Scan too; the four convolutions stay float."""
    found = operations(onnx.load(exported[0].path(FILES["int8"])))
    layers = exported[0].model.layers
    assert found["MatMulInteger"] == found["DynamicQuantizeLinear"] == 3 * layers + 3
    assert (found["MatMul"], found["GRU"], found["Scan"], found["Conv"], found["ConvInteger"]) == (0, 0, 2 * layers, 4, 0)


def test_int8_file_is_less_than_a_third_of_the_float_one():
    """At the shipped size int8 takes at most 30 % of the float graph's bytes."""
    model = AcousticModel(ModelConfig()).eval()
    int8, full = (acoustic_graph(model, int8=int8).ByteSize() for int8 in (True, False))
    assert int8 < 0.30 * full


def test_float_file_holds_its_matrices_in_half_precision(exported):
    """An exported float graph takes about two bytes a weight, and computes in float32 what the rounded weights give."""
    model = packaging.with_half_weights(AcousticModel(ModelConfig()).eval())
    weights = sum(parameter.numel() for parameter in model.parameters())
    half = acoustic_graph(model)
    assert 2.0 * weights < half.ByteSize() < 2.2 * weights
    stored = {constant.data_type for constant in onnx.load(exported[0].path(FILES["float"])).graph.initializer if len(constant.dims) > 1}
    assert TensorProto.FLOAT16 in stored


def matrices() -> st.SearchStrategy[np.ndarray]:
    """Weights of several shapes and spreads, with outliers, as trained ones have them."""
    def make(seed: int, rows: int, power: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        return (random.standard_normal((rows, 6)) ** power * random.choice([1e-3, 1, 50], 6)).astype(np.float32)
    return st.builds(make, st.integers(0, 10_000), st.integers(1, 65), st.sampled_from([1, 3]))


def saturating_product(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x (M, K) uint8 @ weight (K, N) int8 as `vpmaddubsw` does it: each two neighbouring products are added in saturating 16 bits."""
    products = x.astype(np.int32)[:, :, None] * weight.astype(np.int32)                 # (M, K, N)
    products = np.pad(products, ((0, 0), (0, products.shape[1] % 2), (0, 0)))
    return np.clip(products[:, 0::2] + products[:, 1::2], -32768, 32767).sum(1)


@given(matrices())
def test_int8_weights_cannot_saturate(weight):
    """With the activations at their worst, the product of a CPU without VNNI is exact; no weight is off by more than half a step."""
    numbers, scale = quantise(weight)
    worst = np.concatenate([np.where(numbers.T > 0, 255, 0), np.where(numbers.T < 0, 255, 0)]).astype(np.uint8)        # (2 N, K)
    np.testing.assert_array_equal(saturating_product(worst, numbers), worst.astype(np.int32) @ numbers.astype(np.int32))
    assert (np.abs(numbers * scale - weight) <= 0.501 * scale).all()


def test_plain_int8_weights_would_saturate():
    """The arithmetic above does show saturation where it happens, so that the test before can fail."""
    numbers = np.full((2, 1), 127, np.int8)
    worst = np.full((1, 2), 255, np.uint8)
    assert saturating_product(worst, numbers) == 32767 < worst.astype(np.int32) @ numbers.astype(np.int32)


def test_unsafe_weights_are_refused(exported, model, monkeypatch):
    """A graph with weights that could saturate is not shipped, even where this machine's CPU computes it right."""
    bundle, cases = exported
    assert 0 < saturation(onnx.load(bundle.path(FILES["int8"]))) <= 128
    full = lambda w: (np.rint(w / np.abs(w).max(0) * 127).astype(np.int8), np.abs(w).max(0) / 127)       # noqa: E731
    monkeypatch.setattr("export.graph.quantise", full)
    unsafe = acoustic_graph(model, int8=True)
    assert saturation(unsafe) > 128
    monkeypatch.setattr("export.parity.onnx.load", lambda path: unsafe)
    with pytest.raises(BundleError, match="without VNNI"):
        check(cases, bundle)


@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_graph_of_another_model_is_refused_by_name(tmp_path, monkeypatch, int8):
    """Where a graph does not compute what the model computes, export names the case and leaves no bundle."""
    other, right = tiny_checkpoint(seed=3).model(), acoustic_graph

    def wrong(model, **options):
        return right(other if options.get("int8", False) == int8 else model, **options)

    monkeypatch.setattr(packaging, "acoustic_graph", wrong)
    precision = "int8" if int8 else "float"
    with pytest.raises(BundleError, match=rf"not exported: the {precision} graph on 0\.3 s, whole") as caught:
        export_bundle(tiny_checkpoint(), tmp_path / "bundle", "tiny", lengths_s=(0.3,))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def test_bundle_holds_what_the_client_needs(exported):
    """Units, lexicon and card are in it, what it takes to train on, and the graph names its own sizes."""
    bundle = load_bundle(exported[0].folder)
    others = {"phones.txt", "pieces.txt", "pieces.model", "lexicon.txt.gz", "language.binary", "MODEL_CARD.md"}
    assert set(bundle.files) == {*FILES.values(), FEATURES_FILE, *others}
    assert bundle.phones[0] == bundle.pieces[0] == "<blank>"
    assert {unit for phones in LEXICON.values() for unit in phones.split()} <= set(bundle.phones)
    assert "CC0-1.0" in bundle.path("MODEL_CARD.md").read_text()
    metadata = {entry.key for entry in onnx.load(bundle.path(FILES["int8"])).metadata_props}
    assert metadata == {"model", "time"}


def test_missing_language_file_is_named_before_work_begins(tmp_path):
    """A --language folder without a language model is one line, and nothing is written."""
    (language_folder(tmp_path / "language") / "language.binary").unlink()
    with pytest.raises(BundleError, match=r"language\.binary"):
        export_bundle(tiny_checkpoint(), tmp_path / "bundle", "tiny", tmp_path / "language")
    assert not (tmp_path / "bundle").exists()


def test_error_rates_are_kept_in_the_bundle(tmp_path, monkeypatch):
    """What was measured on the shipped files stands in bundle.json, also of one that is a single file."""
    export_bundle(tiny_checkpoint(), tmp_path / "bundle.asr", "tiny", lengths_s=(0.3,))
    rates = {"dev": {"int8": {"full greedy": 99.0}}}
    monkeypatch.setattr("asr.benchmark.wer.measure", lambda bundle, speech, limit: rates)
    assert add_error_rates(tmp_path / "bundle.asr", tmp_path).wer == load_bundle(tmp_path / "bundle.asr").wer == rates


def test_command_exports_a_checkpoint(tmp_path, monkeypatch, capsys):
    """`asr export CHECKPOINT BUNDLE` writes a bundle and shows what was compared; a file that is no checkpoint is one line."""
    monkeypatch.setattr("export.parity.LENGTHS_S", LENGTHS_S)                # without the long one, which takes a minute
    checkpoint.save(tiny_checkpoint(), tmp_path / "best.pt")
    with pytest.raises(SystemExit) as status:
        main(["export", str(tmp_path / "best.pt"), str(tmp_path / "english")])
    assert status.value.code == 0
    shown = capsys.readouterr().out
    assert "1280 ms chunks" in shown
    assert "acoustic.int8.onnx" in shown
    assert load_bundle(tmp_path / "english").name == "english"
    (tmp_path / "noise.pt").write_bytes(b"no checkpoint")
    with pytest.raises(SystemExit) as status:
        main(["export", str(tmp_path / "noise.pt"), str(tmp_path / "english")])
    assert status.value.code == 1
    assert "not a checkpoint" in capsys.readouterr().err


def test_a_bundle_gets_other_language_files(tiny_bundle, tmp_path):
    """A bundle and a folder of language files make a bundle with these, without the error rates of the old ones; all else is as it was."""
    language, target = tmp_path / "language", tmp_path / "new"
    language.mkdir()
    arguments = ["export", str(tiny_bundle.folder), str(target), "--language", str(language)]
    failed = CliRunner().invoke(commands, arguments, standalone_mode=False)
    assert isinstance(failed.exception, BundleError)
    assert "none of lexicon.txt.gz" in str(failed.exception)
    (language / "rescorer.onnx").write_bytes(b"a graph")
    (language / "rescorer.words.txt").write_text("</s>\n<unk>\n")
    assert CliRunner().invoke(commands, arguments).exit_code == 0
    old, new = tiny_bundle, load_bundle(target)
    assert new.path("rescorer.onnx").read_bytes() == b"a graph"
    assert set(new.files) == {*old.files, "rescorer.onnx", "rescorer.words.txt"}
    assert (new.name, new.created, new.model, new.decoding, new.wer) == (old.name, old.created, old.model, old.decoding, {})
    assert CliRunner().invoke(commands, arguments[:-2]).exit_code == 2
