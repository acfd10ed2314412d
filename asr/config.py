"""Sizes that the model, the exporter and the client must agree on: frozen dataclasses, standard library only.

The arithmetic of time is here and nowhere else. One output frame of the model (40 ms) stands for FRAME_SAMPLES samples. Output
frame j needs the samples [FRAME_SAMPLES * j - HISTORY_SAMPLES, FRAME_SAMPLES * j + REACH_SAMPLES): seven log-mel windows, which
two 3-wide convolutions of stride 2 reduce to one. So a block of n samples, with the HISTORY_SAMPLES before it as state, yields
num_frames(n) frames.

Example, chunks of 320 ms with 160 ms of right context: chunk = 8 frames, right = 4 frames, block = 12 frames; a block needs
block_samples(12) = 11 * 640 + 880 = 7920 samples and advances by 8 * 640 = 5120, so the last 2800 samples are fed again.
"""

from dataclasses import asdict, dataclass, field

RATE_HZ = 16_000                     # everything inside is 16 kHz mono float32 in [-1, 1]
SHIFT_SAMPLES = 160                  # 10 ms between log-mel windows
WINDOW_SAMPLES = 400                 # 25 ms
REDUCTION = 4                        # log-mel windows an output frame
FRAME_SAMPLES = SHIFT_SAMPLES * REDUCTION                    # 640 samples = 40 ms an output frame
FRAME_S = FRAME_SAMPLES / RATE_HZ                            # 0.04 s
HISTORY_SAMPLES = 3 * SHIFT_SAMPLES                          # 480: what the convolutions look back
REACH_SAMPLES = 3 * SHIFT_SAMPLES + WINDOW_SAMPLES           # 880: from a frame's start to the end of its last window


def num_frames(num_samples: int) -> int:
    """Output frames of a block of `num_samples` samples (history not counted)."""
    return max(0, (num_samples - REACH_SAMPLES) // FRAME_SAMPLES + 1)


def block_samples(frames: int) -> int:
    """Samples that a block of `frames` output frames needs (history not counted)."""
    return (frames - 1) * FRAME_SAMPLES + REACH_SAMPLES if frames else 0


@dataclass(frozen=True)
class FeatureConfig:
    """Log-mel spectrogram: per-window pre-emphasis, symmetric Hann window, power spectrum, Slaney mel bands, natural log."""

    mel_bins: int = 80
    fft_size: int = 512
    low_hz: float = 0.0
    high_hz: float = 8000.0
    preemphasis: float = 0.97
    floor: float = 1.1920929e-07


ENCODERS = ("gru", "lstm", "rnn", "gru-forward", "gru-attention")       # the first ships, the others are for comparison


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the acoustic model."""

    conv_channels: int = 32
    layers: int = 4
    hidden: int = 256                # units of one direction
    dropout: float = 0.1
    phones: int = 41                 # units of the first head, blank included
    pieces: int = 500                # units of the second head, blank included
    features: FeatureConfig = field(default_factory=FeatureConfig)
    encoder: str = ENCODERS[0]

    def to_dict(self) -> dict:
        values = asdict(self)
        if self.encoder == ENCODERS[0]:
            del values["encoder"]                            # bundles are read by versions that knew no other
        return values

    @classmethod
    def from_dict(cls, values: dict) -> "ModelConfig":
        return cls(**{**values, "features": FeatureConfig(**values["features"])})


@dataclass(frozen=True)
class Latency:
    """How the audio is cut into blocks: `chunk` frames that count and `right` frames of context after them, both 40 ms each."""

    chunk: int
    right: int

    @property
    def block(self) -> int:
        return self.chunk + self.right

    @property
    def delay_s(self) -> float:
        """Longest time between a sample and the emission that covers it, computing aside."""
        return (block_samples(self.block)) / RATE_HZ

    @classmethod
    def of_ms(cls, chunk_ms: int) -> "Latency":
        """The latency that a chunk length in milliseconds stands for; see LATENCIES. Raises KeyError for another."""
        return LATENCIES[chunk_ms]


LATENCIES = {                        # chunk in ms -> frames; trained at random around these, so any other works too
    160: Latency(chunk=4, right=4),
    320: Latency(chunk=8, right=6),
    640: Latency(chunk=16, right=8),
    1280: Latency(chunk=32, right=12),
}
