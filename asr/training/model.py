"""The acoustic model: log-mel, convolutions, latency-controlled bidirectional GRU layers, two CTC heads.

One function, `block`, is what streams: it takes a block of samples and the state before it. `forward` computes the same for a whole
batch at a latency, block by block in one go: the forward direction of a layer runs through all chunks (main track), its continuation
over each block's right context and the backward direction over each block run with the blocks as further batch rows. With no latency
(None) the whole utterance is one block. That the two agree is a test.

Shapes: N utterances, S samples, T output frames (40 ms), D = 2 * hidden, K blocks of `chunk` frames, R frames of right context.
Time comes first inside the encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.config import FRAME_SAMPLES, HISTORY_SAMPLES, REDUCTION, SHIFT_SAMPLES, WINDOW_SAMPLES, Latency, ModelConfig
from asr.training.compared import layers_of
from asr.training.features import LogMel
from asr.training.layers import FrontEnd, linear


class AcousticModel(nn.Module):
    """samples -> log-probabilities of phones and of word pieces, 25 frames a second."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.features = LogMel(config.features)
        self.front = FrontEnd(config)
        self.layers = nn.ModuleList(layers_of(config))
        self.norm = nn.LayerNorm(2 * config.hidden)
        self.phones = nn.Linear(2 * config.hidden, config.phones)
        self.pieces = nn.Linear(2 * config.hidden, config.pieces)

    def forward(self, mel: Tensor, latency: Latency | None, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Normalised log-mel of whole utterances (N, M, F), history included -> log-probabilities (T, N, P) and (T, N, V)."""
        x, _ = self._encode(mel, latency, dtype)
        return self._heads(self.norm(x), dtype)

    def forward_all(self, mel: Tensor, latency: Latency | None, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `forward`, and what the losses want besides.

        That is the phones' log-probabilities read from the middle layer (T, N, P), and what both heads read, (T, N, D).
        """
        x, middle = self._encode(mel, latency, dtype)
        top = self.norm(x)
        halfway = linear(self.phones, self.norm(middle).to(dtype)).float().log_softmax(-1)
        return *self._heads(top, dtype), halfway, top

    def block(self, samples: Tensor, history: Tensor, hidden: Tensor, keep: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One step of a stream.

        samples (1, n) float32, history (1, 480) the samples before, hidden (layers, 1, H) the forward states before, keep = frames the
        state advances by. Returns phones (1, T, P), pieces (1, T, V), the next history and the next hidden.
        """
        joined = torch.cat([history, samples], dim=1)
        x = self.front(self.features(joined), torch.float32)                            # (T, 1, D)
        states = []
        for layer, start in zip(self.layers, hidden, strict=True):
            x, ahead = layer.whole(x, start, torch.float32)
            states.append(ahead[keep - 1])
        phones, pieces = self._heads(self.norm(x), torch.float32)
        next_history = joined[:, keep * FRAME_SAMPLES:keep * FRAME_SAMPLES + HISTORY_SAMPLES]
        return phones.transpose(0, 1), pieces.transpose(0, 1), next_history, torch.stack(states)

    def log_mel(self, samples: Tensor, speed: float = 1.0, warp: float = 1.0) -> Tensor:
        """samples (N, S) -> normalised log-mel (N, 4 T + 3, F) of whole utterances.

        T covers every sample at the given speed and one frame more; silence of zeros stands before and after.
        """
        shift, window = round(SHIFT_SAMPLES * speed), round(WINDOW_SAMPLES * speed)
        frames = -(-samples.shape[1] // (REDUCTION * shift)) + 1
        whole = (REDUCTION * frames + 2) * shift + window
        return self.features(functional.pad(samples, (3 * shift, whole - 3 * shift - samples.shape[1])), speed, warp)

    def initial_state(self) -> tuple[Tensor, Tensor]:
        """History and hidden state before the first sample."""
        return torch.zeros(1, HISTORY_SAMPLES), torch.zeros(self.config.layers, 1, self.config.hidden)

    def _encode(self, mel: Tensor, latency: Latency | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """log-mel (N, M, F) -> output of the last layer and of the middle one, (T, N, D) each."""
        middle = self.config.layers // 2
        if latency is None:
            x = self.front(mel, dtype)                                                  # (T, N, D)
            outputs = []
            for layer in self.layers:
                x, _ = layer.whole(x, x.new_zeros(x.shape[1], self.config.hidden), dtype)
                outputs.append(x)
            return x, outputs[middle - 1]
        frames, chunk = (mel.shape[1] - 3) // REDUCTION, latency.chunk
        blocks = -(-frames // chunk)
        silence = self.features.silence().expand(len(mel), REDUCTION * (blocks * chunk + latency.right - frames), -1)
        x = self.front(torch.cat([mel, silence], dim=1), dtype)                         # (K C + R, N, D)
        right = torch.cat([x[(k + 1) * chunk:(k + 1) * chunk + latency.right] for k in range(blocks)], dim=1)   # (R, K N, D)
        x, outputs = x[:blocks * chunk], []
        for i, layer in enumerate(self.layers):
            start = x.new_zeros(x.shape[1], self.config.hidden)
            x, right = layer.blocks(x, right, start, dtype, last=i + 1 == len(self.layers))
            outputs.append(x[:frames])
        return outputs[-1], outputs[middle - 1]

    def _heads(self, top: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        y = top.to(dtype)
        return linear(self.phones, y).float().log_softmax(-1), linear(self.pieces, y).float().log_softmax(-1)
