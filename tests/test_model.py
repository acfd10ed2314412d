"""The acoustic model: a stream of blocks equals the training pass, at every latency; more input never changes what was given."""

import pytest
import torch

from asr.config import FRAME_SAMPLES, Latency, ModelConfig, block_samples
from asr.training.model import AcousticModel

LATENCIES = [Latency(1, 0), Latency(4, 4), Latency(8, 6), Latency(16, 8), Latency(32, 12)]


@pytest.fixture(scope="module")
def model():
    """A random model of three narrow layers."""
    torch.manual_seed(3)
    model = AcousticModel(ModelConfig(conv_channels=4, layers=3, hidden=16, phones=7, pieces=11)).eval()
    model.features.fit([torch.randn(16_000) * 0.1])
    return model


def streamed(model, samples, latency, frames):
    """Feed samples (1, S) block by block -> phones (frames, P) and pieces (frames, V)."""
    history, hidden = model.initial_state()
    padded = torch.nn.functional.pad(samples, (0, block_samples(frames + latency.block)))
    phones, pieces = [], []
    for k in range(-(-frames // latency.chunk)):
        start = k * latency.chunk * FRAME_SAMPLES
        block = padded[:, start:start + block_samples(latency.block)]
        p, v, history, hidden = model.block(block, history, hidden, latency.chunk)
        phones.append(p[0, :latency.chunk])
        pieces.append(v[0, :latency.chunk])
    return torch.cat(phones)[:frames], torch.cat(pieces)[:frames]


@pytest.mark.parametrize("latency", LATENCIES, ids=lambda latency: f"chunk{latency.chunk}-right{latency.right}")
@torch.inference_mode()
def test_stream_equals_training_pass(model, latency):
    """The block function, called block after block, gives what the training pass gives at that latency."""
    samples = torch.randn(1, 33_333) * 0.1
    phones, pieces = model(model.log_mel(samples), latency)
    frames = len(phones)
    streamed_phones, streamed_pieces = streamed(model, samples, latency, frames)
    assert frames > 50
    torch.testing.assert_close(streamed_phones, phones[:frames, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(streamed_pieces, pieces[:frames, 0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_whole_utterance_is_one_block(model):
    """Without a latency the training pass equals one block that holds everything."""
    samples = torch.randn(1, 20_000) * 0.1
    phones, _ = model(model.log_mel(samples), None)
    padded = torch.nn.functional.pad(samples, (0, block_samples(len(phones)) - samples.shape[1]))
    block, _, _, _ = model.block(padded, *model.initial_state(), keep=len(phones))
    torch.testing.assert_close(block[0], phones[:, 0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_batch_rows_do_not_touch(model):
    """An utterance gives the same in a batch as alone, in chunks and whole, where padding is part of both."""
    samples = torch.randn(3, 24_000) * 0.1
    for latency in (None, Latency(8, 6)):
        together, _ = model(model.log_mel(samples), latency)
        alone, _ = model(model.log_mel(samples[1:2]), latency)
        torch.testing.assert_close(together[:, 1:2], alone, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_future_beyond_right_context_changes_nothing(model):
    """Output of a chunk depends on its right context and on nothing later."""
    latency = Latency(8, 4)
    samples = torch.randn(1, 32_000) * 0.1
    before, _ = model(model.log_mel(samples), latency)
    changed = samples.clone()
    safe_chunks = 3
    changed[:, block_samples(safe_chunks * latency.chunk + latency.right):] = 0.5
    after, _ = model(model.log_mel(changed), latency)
    same = safe_chunks * latency.chunk
    torch.testing.assert_close(after[:same], before[:same], atol=1e-5, rtol=0)
    assert (after[same:] - before[same:]).abs().max() > 1e-2
