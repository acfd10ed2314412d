"""Encoders to compare the shipped one with: other cells, one direction, self-attention on top.

They train at full context and go no further: what streams and exports is `gru`. The silence after a short row of a batch is part of it
for all of them, for attention too.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from asr.config import ModelConfig
from asr.training.layers import Layer, drop

HEADS = 8


class TorchLayer(nn.Module):
    """x + dropout(cell(norm(x))) by one of torch's recurrent modules whose output is as wide as x."""

    def __init__(self, cell: nn.RNNBase, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(cell.input_size)
        self.cell, self.dropout = cell, dropout

    def whole(self, x: Tensor, start: Tensor, dtype) -> tuple[Tensor, None]:
        """x (T, N, D) -> output (T, N, D); `start` is that of another kind of layer."""
        y, _ = self.cell(self.norm(x))
        return x + drop(y, self.dropout if self.training else 0.0), None


class Attention(nn.Module):
    """x + dropout(attention(norm(x))) over all frames; the recurrent layers below tell it where they are."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention, self.dropout = nn.MultiheadAttention(width, HEADS), dropout

    def whole(self, x: Tensor, start: Tensor, dtype) -> tuple[Tensor, None]:
        """As TorchLayer.whole."""
        y = self.norm(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        return x + drop(y, self.dropout if self.training else 0.0), None


def layers_of(config: ModelConfig) -> Iterator[nn.Module]:
    """The layers of an encoder of asr.config.ENCODERS."""
    width, hidden = 2 * config.hidden, config.hidden
    for _ in range(config.layers):
        match config.encoder:
            case "lstm":
                yield TorchLayer(nn.LSTM(width, hidden, bidirectional=True), config.dropout)
            case "rnn":
                yield TorchLayer(nn.RNN(width, hidden, bidirectional=True), config.dropout)
            case "gru-forward":
                yield TorchLayer(nn.GRU(width, width), config.dropout)
            case _:
                yield Layer(hidden, config.dropout)
    if config.encoder == "gru-attention":
        yield Attention(width, config.dropout)
