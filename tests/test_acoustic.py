"""asr/client/acoustic.py: a stream gives every frame once, the same ones however the samples come."""

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from asr.bundle import load_bundle, replacing, write_manifest
from asr.cache import cache_folder
from asr.client import acoustic as acoustic_module
from asr.client.acoustic import Acoustic, AcousticStream
from asr.config import FRAME_SAMPLES, LATENCIES, Latency, block_samples
from asr.decoding.emission import Emission
from asr.errors import BundleError
from tests.tiny import tiny_bundle

LATENCY = LATENCIES[160]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A random model's bundle."""
    return tiny_bundle(tmp_path_factory.mktemp("acoustic") / "bundle")


@pytest.fixture(scope="module")
def acoustic(bundle):
    """Its int8 graph."""
    return Acoustic(bundle, "int8")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    """(n,) float32."""
    return np.random.default_rng(seed).uniform(-0.3, 0.3, num_samples).astype(np.float32)


def recognised(stream: AcousticStream, samples: np.ndarray, size: int) -> Emission:
    """All emissions of `samples` fed `size` at a time."""
    parts = [emission for start in range(0, len(samples), size) for emission in stream.feed(samples[start:start + size])]
    return Emission.concatenate([*parts, stream.flush()])


def assert_same(found: Emission, expected: Emission) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(found.phones, expected.phones)
    np.testing.assert_array_equal(found.pieces, expected.pieces)


@pytest.mark.parametrize("latency", LATENCIES.values(), ids=LATENCIES)
@pytest.mark.parametrize("size", [1, 159, 640, 5121])
def test_feeding_in_pieces_equals_feeding_at_once(acoustic, latency, size):
    """Any size of pieces gives the bits that one piece gives, at every latency."""
    samples = noise(3 * block_samples(latency.block) // 2)
    expected = recognised(AcousticStream(acoustic, latency), samples, len(samples))
    assert_same(recognised(AcousticStream(acoustic, latency), samples, size), expected)


@pytest.mark.parametrize("num_samples", [1, 639, 640, 641, 3 * 640, block_samples(8) - 1, block_samples(8), block_samples(8) + 1, 20_000])
def test_every_sample_is_covered_and_one_frame_more(acoustic, num_samples):
    """Streamed or whole, n samples give a frame for each 640 begun and one more, all of them log-probabilities."""
    samples = noise(num_samples)
    frames = math.ceil(num_samples / FRAME_SAMPLES) + 1
    for found in (recognised(AcousticStream(acoustic, LATENCY), samples, 4000), acoustic.whole(samples)):
        assert found.phones.shape == (frames, 41)
        assert found.pieces.shape == (frames, 32)
        np.testing.assert_allclose(np.exp(found.phones).sum(1), 1, atol=1e-4)
        np.testing.assert_allclose(np.exp(found.pieces).sum(1), 1, atol=1e-4)


def test_no_samples_give_no_frames(acoustic):
    """A stream that heard nothing has nothing to flush, a recording of no samples no frames."""
    stream = AcousticStream(acoustic, LATENCY)
    assert stream.feed(noise(0)) == []
    assert len(stream.flush()) == len(acoustic.whole(noise(0))) == 0


def test_last_sample_counts(acoustic):
    """What is said in the last milliseconds before flush changes what comes out."""
    samples = noise(9000)
    louder = np.concatenate([samples[:-100], 3 * samples[-100:]])
    before, after = (recognised(AcousticStream(acoustic, LATENCY), s, 9000) for s in (samples, louder))
    assert np.abs(after.phones - before.phones).max() > 0.01


def test_more_samples_never_change_what_was_emitted(acoustic):
    """Emissions depend on their own block alone, not on what comes later."""
    samples = noise(30_000)
    longer = AcousticStream(acoustic, LATENCY).feed(np.concatenate([samples, noise(30_000, seed=1)]))
    shorter = AcousticStream(acoustic, LATENCY).feed(samples)
    assert 3 < len(shorter) < len(longer)
    for early, late in zip(shorter, longer, strict=False):
        assert_same(early, late)


def test_two_recordings_through_one_stream_equal_two_streams(acoustic):
    """Flush leaves nothing behind: neither samples nor state nor look-ahead."""
    stream, recordings = AcousticStream(acoustic, LATENCY), [noise(13_000, seed) for seed in (1, 2)]
    for samples in recordings:
        assert_same(recognised(stream, samples, 1000), recognised(AcousticStream(acoustic, LATENCY), samples, 1000))
        assert stream.look_ahead is None


def test_streams_at_once_do_not_disturb_each_other(acoustic):
    """Eight streams in four threads on one Acoustic give what each gives alone."""
    recordings = [noise(20_000, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda samples: recognised(AcousticStream(acoustic, LATENCY), samples, 777), recordings))
    assert len(found) == 8
    for emission, samples in zip(found, recordings, strict=True):
        assert_same(emission, recognised(AcousticStream(acoustic, LATENCY), samples, 777))


def test_look_ahead_is_the_right_context_of_the_last_block(acoustic):
    """It has `right` frames, those of a block run alone, and a latency without right context has none."""
    samples, stream = noise(block_samples(LATENCY.block)), AcousticStream(acoustic, LATENCY)
    assert stream.feed(samples[:-1]) == []
    assert stream.look_ahead is None
    emission, = stream.feed(samples[-1:])
    assert len(emission) == LATENCY.chunk
    alone, _ = acoustic.run(samples, acoustic.initial_state(), keep=LATENCY.chunk)
    assert_same(stream.look_ahead, alone[LATENCY.chunk:])
    blind = AcousticStream(acoustic, Latency(chunk=4, right=0))
    assert len(blind.feed(samples)) == 2
    assert blind.look_ahead is None


def test_caller_may_reuse_its_array(acoustic):
    """Samples are taken when they are fed: a callback's buffer that is written over later does no harm."""
    samples, buffer, stream, parts = noise(16_000), np.empty(400, np.float32), AcousticStream(acoustic, LATENCY), []
    for start in range(0, len(samples), len(buffer)):
        buffer[:] = samples[start:start + len(buffer)]
        parts += stream.feed(buffer)
    assert_same(Emission.concatenate([*parts, stream.flush()]), recognised(AcousticStream(acoustic, LATENCY), samples, 16_000))


def test_whole_is_one_block_that_never_fills(acoustic):
    """`whole` and a stream whose chunk is longer than the recording agree."""
    samples = noise(21_000)
    assert_same(acoustic.whole(samples), recognised(AcousticStream(acoustic, Latency(chunk=10_000, right=0)), samples, 21_000))


@pytest.mark.parametrize(("times", "quicker"), [({"int8": 1.0, "float": 0.5}, "float"), ({"int8": 1.0, "float": 0.97}, "int8"),
                                                ({"int8": 0.6, "float": 1.0}, "int8")])
def test_auto_takes_the_quicker_graph_and_remembers(bundle, monkeypatch, times, quicker):
    """Measured once for a bundle and CPU; float only where it is clearly quicker, since int8 needs less memory."""
    measured = []
    monkeypatch.setattr(acoustic_module, "_times", lambda *args: measured.append(args) or times)
    assert Acoustic(bundle).precision == quicker
    assert Acoustic(bundle).precision == quicker
    assert len(measured) == 1
    assert list(json.loads((cache_folder() / "precision.json").read_text()).values()) == [quicker]


def test_auto_measures_both_graphs(bundle):
    """The measurement runs on the real graphs, and a damaged memory of it is written anew."""
    (cache_folder() / "precision.json").write_text("{")
    assert Acoustic(bundle).precision in ("int8", "float")
    assert len(json.loads((cache_folder() / "precision.json").read_text())) == 1


def test_precision_that_the_bundle_lacks(bundle, tmp_path):
    """With int8 alone, auto takes it, float is refused by name; an unknown precision is a caller's mistake."""
    with replacing(tmp_path / "int8") as folder:
        for name in ("acoustic.int8.onnx", "phones.txt", "pieces.txt"):
            (folder / name).write_bytes(bundle.path(name).read_bytes())
        write_manifest(folder, name="int8", created="", model=bundle.model.to_dict())
    alone = load_bundle(tmp_path / "int8")
    assert Acoustic(alone).precision == "int8"
    with pytest.raises(BundleError, match=r"has no acoustic\.onnx"):
        Acoustic(alone, "float")
    with pytest.raises(ValueError, match="'int8' or 'float'"):
        Acoustic(bundle, "int4")


def test_graph_that_cannot_be_loaded_is_one_line(bundle, tmp_path):
    """A graph that ONNX Runtime rejects is an error that names the file."""
    (tmp_path / "acoustic.onnx").write_bytes(b"no graph at all")
    broken = dataclasses.replace(bundle, folder=tmp_path)
    with pytest.raises(BundleError, match=r"acoustic\.onnx: ONNX Runtime .* cannot load it") as caught:
        Acoustic(broken, "float")
    assert "\n" not in str(caught.value)
