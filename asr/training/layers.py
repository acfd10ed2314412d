"""The parts of the acoustic model: convolutions, and the recurrent layer, over whole utterances and over blocks.

Shapes as in model.py: T frames of 40 ms, N rows, D = 2 * hidden.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.config import ModelConfig
from asr.training.gru import Run, run_together


class FrontEnd(nn.Module):
    """log-mel (N, 4 T + 3, F) -> frames (T, N, D): two 3 x 3 convolutions of stride 2, valid in time, and a projection."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        channels, bands = config.conv_channels, -(-(-(-config.features.mel_bins // 2)) // 2)
        self.conv1 = nn.Conv2d(1, channels, 3, stride=2, padding=(0, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=2, padding=(0, 1))
        self.project = nn.Linear(channels * bands, 2 * config.hidden)

    def forward(self, mel: Tensor, dtype: torch.dtype) -> Tensor:
        x = mel[:, None].to(dtype)                                                      # (N, 1, 4 T + 3, F)
        x = functional.relu(_conv(self.conv1, x))
        x = functional.relu(_conv(self.conv2, x))                                       # (N, C, T, F / 4)
        x = x.permute(2, 0, 1, 3).flatten(2)                                            # (T, N, C F / 4)
        return linear(self.project, x).float()                                          # (T, N, D)


class Layer(nn.Module):
    """x + dropout(BiGRU(norm(x))), the two directions side by side in the last axis."""

    def __init__(self, hidden: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(2 * hidden)
        self.forwards = nn.GRU(2 * hidden, hidden)
        self.backwards = nn.GRU(2 * hidden, hidden)
        self.dropout = dropout

    def whole(self, x: Tensor, start: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """One block: x (T, N, D), forward state before it (N, H) -> output (T, N, D) and forward states (T, N, H)."""
        y = self.norm(x).to(dtype)
        ahead, back = run_together([Run(self.forwards, y, start), Run(self.backwards, y, torch.zeros_like(start), reverse=True)])
        return x + self._drop(torch.cat([ahead, back], dim=2)), ahead

    def blocks(self, x: Tensor, right: Tensor, start: Tensor, dtype: torch.dtype, last: bool) -> tuple[Tensor, Tensor | None]:
        """K blocks of C frames: x (K C, N, D), right context of each (R, K N, D) -> the same two, the second None after the last layer."""
        rows, hidden = start.shape
        blocks = right.shape[1] // rows
        chunk = len(x) // blocks
        y, y_right = self.norm(x).to(dtype), self.norm(right).to(dtype)
        tiled = y.view(blocks, chunk, rows, -1).transpose(0, 1).reshape(chunk, blocks * rows, -1)       # (C, K N, D)
        zeros = start.new_zeros(blocks * rows, hidden)
        ahead, back = run_together([
            Run(self.forwards, y, start),
            Run(self.backwards, torch.cat([tiled, y_right]), zeros, reverse=True),
        ])                                                                              # (K C, N, H), (C + R, K N, H)
        untiled = back[:chunk].view(chunk, blocks, rows, hidden).transpose(0, 1).reshape(blocks * chunk, rows, hidden)
        out = x + self._drop(torch.cat([ahead, untiled], dim=2))
        if last:
            return out, None
        ends = ahead.view(blocks, chunk, rows, hidden)[:, -1].reshape(blocks * rows, hidden)            # states where right context begins
        further, = run_together([Run(self.forwards, y_right, ends.float())])            # (R, K N, H)
        return out, right + self._drop(torch.cat([further, back[chunk:]], dim=2))

    def _drop(self, x: Tensor) -> Tensor:
        return drop(x, self.dropout if self.training else 0.0)


def drop(x: Tensor, share: float) -> Tensor:
    """Dropout with one mask for all of a row's time (Gal and Ghahramani, arXiv 1512.05287): better for recurrence, and free."""
    return x * functional.dropout(torch.ones_like(x[:1]), share) if share else x


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in the dtype of x."""
    return functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


def _conv(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return functional.conv2d(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.stride, layer.padding)
