"""SpecAugment's masks: as many and as wide as asked, never beyond an utterance, none where none are asked."""

import torch

from asr.training.masking import MaskingConfig, mask

ROWS, FRAMES, BANDS = 40, 600, 80


def masked(**config):
    """Which cells of all-ones features are masked: (N, M, F) bool."""
    lengths = torch.full((ROWS,), FRAMES)
    return mask(torch.ones(ROWS, FRAMES, BANDS), lengths, MaskingConfig(**config), torch.Generator().manual_seed(1)) == 0


def test_no_masks_leave_features_alone():
    """With zero masks a second and zero band masks nothing is masked."""
    assert not masked(band_masks=0, masks_per_second=0.0).any()


def test_time_masks_stay_within_their_share():
    """Time masks cover whole windows, no stretch longer than asked, and all together at most about their share."""
    windows = masked(band_masks=0, masks_per_second=0.7, time_width=40, time_part=0.2).all(dim=2)      # (N, M)
    assert windows.any(dim=1).all()
    assert windows.float().mean(dim=1).max() <= 0.4
    assert 0.02 < windows.float().mean() < 0.2


def test_band_masks_are_bands():
    """Band masks cover a band for the whole utterance, at most twice the greatest width."""
    bands = masked(band_masks=2, band_width=20, masks_per_second=0.0).all(dim=1)                       # (N, F)
    assert 5 < bands.sum(1).float().mean() < 25
    assert bands.sum(1).max() <= 40


def test_padding_needs_no_masks():
    """Masks of a short row in a long batch fall on the row, not on its padding."""
    lengths = torch.full((ROWS,), 100)
    hidden = mask(torch.ones(ROWS, FRAMES, BANDS), lengths, MaskingConfig(band_masks=0), torch.Generator().manual_seed(2)) == 0
    assert hidden[:, :100].any()
    assert not hidden[:, 100:].any()
