"""SpecAugment on normalised log-mel: whole bands and stretches of time set to the mean (Park et al., arXiv 1904.08779)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MaskingConfig:
    """Numbers and greatest sizes of the masks."""

    band_masks: int = 2
    band_width: int = 20             # mel bands
    masks_per_second: float = 0.7
    time_width: int = 40             # windows of 10 ms
    time_part: float = 0.2           # of an utterance at most


def mask(mel: Tensor, lengths: Tensor, config: MaskingConfig, generator: torch.Generator) -> Tensor:
    """mel (N, M, F), valid windows of each (N,) -> the same shape, masked with zeros, the mean of normalised log-mel."""
    rows, frames, bands = mel.shape

    def draw(*shape):
        return torch.rand(*shape, generator=generator)

    width = draw(rows, config.band_masks) * (config.band_width + 1)
    start = draw(rows, config.band_masks) * (bands - width)
    hidden_bands = _spans(start, width, bands)                                          # (N, F)
    count = max(1, round(frames / 100 * config.masks_per_second))
    width = draw(rows, count) * torch.minimum(torch.full_like(lengths, config.time_width), lengths * config.time_part / count * 2)[:, None]
    start = draw(rows, count) * (lengths[:, None] - width)
    used = torch.arange(count)[None] < lengths[:, None] / 100 * config.masks_per_second
    hidden_times = _spans(start, width * used, frames)                                  # (N, M)
    return mel.masked_fill((hidden_bands[:, None] | hidden_times[:, :, None]).to(mel.device), 0.0)


def _spans(start: Tensor, width: Tensor, size: int) -> Tensor:
    """start, width (N, K) -> (N, size) bool, true inside any span."""
    place = torch.arange(size)[None, None]
    start, width = start.floor()[..., None], width.floor()[..., None]
    return ((place >= start) & (place < start + width)).any(1)
