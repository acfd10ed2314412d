"""Log-mel spectrogram as a torch module that exports: windows, a fixed DFT, mel bands, logarithm, normalisation by training-set statistics.

Each 25 ms window is pre-emphasised and Hann-weighted on its own (as Kaldi does), so that everything up to the power spectrum is one
fixed matrix (`dft_matrix`; an FFT here, the matrix in the exported graph); mel bands are librosa's (Slaney). NeMo's and Kaldi's native
front ends give the same values with the same settings, so the exported graph can be cut after this module. Level is not normalised at
run time: gain augmentation teaches the model every level, and a running mean would make the first seconds of a stream differ.

Speed perturbation is free here: speech read `speed` times as fast is windows of 400 * speed samples every 160 * speed samples, with
mel bands placed at the frequencies the resampled signal would have. So is another length of vocal tract (Jaitly and Hinton, "Vocal Tract
Length Perturbation (VTLP) improves speech recognition", 2013, there bent at the upper end): bands `warp` times as low, in the same windows.
"""

import functools
import math
import warnings

import librosa
import torch
from torch import Tensor, nn

from asr.config import RATE_HZ, SHIFT_SAMPLES, WINDOW_SAMPLES, FeatureConfig


class LogMel(nn.Module):
    """samples (N, S) float32 in [-1, 1] -> normalised log-mel (N, T, F), T = (S - 400) // 160 + 1 at speed 1."""

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.mel_bins))          # of the training set, see `fit`
        self.register_buffer("scale", torch.ones(config.mel_bins))          # one over its standard deviation

    def forward(self, samples: Tensor, speed: float = 1.0, warp: float = 1.0) -> Tensor:
        return (self.log_mel(samples, speed, warp) - self.mean) * self.scale

    def log_mel(self, samples: Tensor, speed: float = 1.0, warp: float = 1.0) -> Tensor:
        """Log-mel without normalisation, (N, T, F).

        Outside training in float64: a float32 FFT is wrong by up to 6e-4 in quiet bands beside loud ones, the exported matrix by 1.5e-4.
        """
        dtype = samples.dtype if self.training else torch.float64
        samples = samples.to(dtype)
        window, mel = (m.to(samples.device, dtype) for m in window_and_mel(self.config, speed, warp))
        cut = samples.unfold(1, len(window), round(SHIFT_SAMPLES * speed))                      # (N, T, W)
        before = torch.cat([cut[..., :1], cut[..., :-1]], dim=-1)                               # a window's first sample precedes itself
        emphasised = (cut - self.config.preemphasis * before) * window
        spectrum = torch.view_as_real(torch.fft.rfft(emphasised, self.config.fft_size))         # (N, T, bins, 2)
        return torch.log(spectrum.square().sum(-1) @ mel + self.config.floor).float()           # (N, T, F)

    def silence(self) -> Tensor:
        """Normalised log-mel of digital silence, (F,)."""
        return (math.log(self.config.floor) - self.mean) * self.scale

    def fit(self, samples: list[Tensor]) -> None:
        """Set mean and scale of each band from a sample of the training set: list of (S,) float32."""
        frames = torch.cat([self.log_mel(s[None])[0] for s in samples])                         # (T, F)
        self.mean.copy_(frames.mean(0))
        self.scale.copy_(1.0 / frames.std(0))


@functools.cache
def window_and_mel(config: FeatureConfig, speed: float = 1.0, warp: float = 1.0) -> tuple[Tensor, Tensor]:
    """Hann window (W,) and mel bands (bins, F), for speech read `speed` times as fast, all its frequencies `warp` times as high."""
    width = round(WINDOW_SAMPLES * speed)
    window = torch.hann_window(width, periodic=False, dtype=torch.float64) / speed              # a longer window would read louder
    with warnings.catch_warnings():                                         # slower speech has no energy in the highest bands
        warnings.filterwarnings("ignore", message="Empty filters")
        mel = librosa.filters.mel(sr=RATE_HZ * speed * warp, n_fft=config.fft_size, n_mels=config.mel_bins, fmin=config.low_hz,
                                  fmax=config.high_hz, norm="slaney", dtype="float64")
    emphasis = _emphasis(config, speed) / _emphasis(config, 1.0)            # what a sample's lag of the sped-up signal would have done
    return window.float(), (torch.as_tensor(mel.T * speed * warp) * emphasis[:, None]).float().contiguous()


def _emphasis(config: FeatureConfig, speed: float) -> Tensor:
    """Power response of pre-emphasis at each DFT bin, (bins,), where the signal is read `speed` times as fast."""
    angle = 2 * math.pi / config.fft_size * speed * torch.arange(config.fft_size // 2 + 1).double()
    return 1 + config.preemphasis**2 - 2 * config.preemphasis * torch.cos(angle)


def dft_matrix(config: FeatureConfig) -> Tensor:
    """Pre-emphasis, window and DFT of one window as a matrix (400, 2 * bins), real parts first: what the exported graph holds."""
    window, _ = window_and_mel(config)
    width, bins = len(window), config.fft_size // 2 + 1
    emphasis = torch.eye(width, dtype=torch.float64)
    emphasis -= config.preemphasis * torch.diag(torch.ones(width - 1, dtype=torch.float64), 1)
    emphasis[0, 0] -= config.preemphasis                                    # the first sample is its own predecessor
    angle = 2 * math.pi / config.fft_size * torch.outer(torch.arange(width), torch.arange(bins)).double()
    waves = torch.cat([torch.cos(angle), -torch.sin(angle)], dim=1)         # (400, 2 * bins)
    return (emphasis @ (window[:, None] * waves)).float()
