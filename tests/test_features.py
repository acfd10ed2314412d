"""The log-mel front end: equal to librosa's and torchaudio's parts, to its own exported matrix, and right about speed."""

import librosa
import numpy as np
import pytest
import soxr
import torch
import torchaudio

from asr.config import RATE_HZ, FeatureConfig
from asr.training.features import LogMel, dft_matrix, window_and_mel

CONFIG = FeatureConfig()


@pytest.fixture(scope="module")
def speechlike():
    """A second of harmonics that glide, with a little noise: (16000,) float32."""
    rng = np.random.default_rng(1)
    time_s = np.arange(RATE_HZ) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 2 * time_s)) / RATE_HZ
    tone = sum(np.sin(k * phase) / k for k in range(1, 30))
    return (0.05 * tone + 0.002 * rng.standard_normal(RATE_HZ)).astype(np.float32)


def test_equals_librosa_mel_of_kaldi_windows(speechlike):
    """Windows with Kaldi's per-window pre-emphasis, librosa's power spectrum and mel bands give the same log-mel."""
    windows = librosa.util.frame(speechlike, frame_length=400, hop_length=160).T.astype(np.float64)     # (T, 400)
    windows = windows - 0.97 * np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft(windows * np.hanning(400), 512)) ** 2
    expected = np.log(power @ librosa.filters.mel(sr=RATE_HZ, n_fft=512, n_mels=80, fmin=0, fmax=8000, dtype="float64").T + CONFIG.floor)
    ours = LogMel(CONFIG).log_mel(torch.from_numpy(speechlike)[None])[0]
    assert ours.shape == (98, 80)
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_spectrum_equals_torchaudio_kaldi(speechlike):
    """The power spectrum below the mel bands is that of torchaudio's Kaldi front end with the same settings."""
    theirs = torchaudio.compliance.kaldi.spectrogram(
        torch.from_numpy(speechlike)[None], window_type="hanning", preemphasis_coefficient=0.97, remove_dc_offset=False, dither=0.0,
        sample_frequency=RATE_HZ, raw_energy=False)                                                     # (T, 257) log power
    window, _ = window_and_mel(CONFIG)
    cut = torch.from_numpy(speechlike).unfold(0, 400, 160)
    emphasised = cut - 0.97 * torch.cat([cut[:, :1], cut[:, :-1]], dim=1)
    ours = torch.fft.rfft(emphasised * window, 512).abs().square()
    loudest = ours.max(dim=1, keepdim=True).values
    torch.testing.assert_close((ours / loudest)[:, 1:], (theirs.exp() / loudest)[:, 1:], atol=1e-4, rtol=0)     # bin 0 holds the energy


def test_matrix_for_export_equals_fft(speechlike):
    """The DFT matrix that the exported graph holds gives the FFT's log-mel."""
    cut = torch.from_numpy(speechlike).unfold(0, 400, 160)
    real, imaginary = (cut @ dft_matrix(CONFIG)).chunk(2, dim=1)
    _, mel = window_and_mel(CONFIG)
    by_matrix = torch.log((real.square() + imaginary.square()) @ mel + CONFIG.floor)
    torch.testing.assert_close(by_matrix, LogMel(CONFIG).log_mel(torch.from_numpy(speechlike)[None])[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25])
def test_speed_equals_resampling(speechlike, speed):
    """Features read at a speed are those of the resampled signal, but for the highest bands of slowed speech, which are empty."""
    resampled = soxr.resample(speechlike, RATE_HZ, RATE_HZ / speed, quality="VHQ")
    expected = LogMel(CONFIG).log_mel(torch.from_numpy(resampled)[None])[0]
    ours = LogMel(CONFIG).log_mel(torch.from_numpy(speechlike)[None], speed)[0]
    frames, bands = min(len(ours), len(expected)), 70
    assert abs(len(ours) - len(expected)) <= 1
    difference = (ours[2:frames - 2, :bands] - expected[2:frames - 2, :bands]).abs()
    assert difference.mean() < 0.2, difference.mean()                     # 0.46 without the correction of pre-emphasis


@pytest.mark.parametrize("warp", [0.88, 1.12])
def test_warp_moves_frequencies_but_not_time(warp):
    """A tone at 1 kHz, warped, has the features of the tone at `warp` times 1 kHz, in as many windows."""
    time_s = torch.arange(RATE_HZ) / RATE_HZ
    tone, moved = (0.3 * torch.sin(2 * torch.pi * hz * time_s)[None] for hz in (1000.0, 1000.0 * warp))
    features = LogMel(CONFIG)
    ours, expected = features.log_mel(tone, warp=warp)[0], features.log_mel(moved)[0]
    assert ours.shape == expected.shape
    assert ours.mean(0).argmax() == expected.mean(0).argmax() != features.log_mel(tone)[0].mean(0).argmax()
    assert (ours.max(1).values - expected.max(1).values).abs().max() < 0.3


def test_fit_normalises(speechlike):
    """After `fit` the bands of the fitted audio have mean 0 and deviation 1."""
    features = LogMel(CONFIG)
    features.fit([torch.from_numpy(speechlike)])
    normal = features(torch.from_numpy(speechlike)[None])[0]
    torch.testing.assert_close(normal.mean(0), torch.zeros(80), atol=1e-3, rtol=0)
    torch.testing.assert_close(normal.std(0), torch.ones(80), atol=1e-3, rtol=0)
