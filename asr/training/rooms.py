"""A bank of simulated rooms: impulse responses from a talker to a microphone, by the image-source method, made once and kept in a file.

Each response is cut so that the direct sound lies at LEAD_SAMPLES: speech through a room stays where it was in time, so word
boundaries keep their places.
"""

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.config import RATE_HZ
from asr.errors import DataError, MissingExtraError

LEAD_SAMPLES = 16                    # kept before the direct sound: its band-limited peak begins earlier than its centre
FADE_SAMPLES = 400                   # at the cut end, so that no tail stops dead


@dataclass(frozen=True)
class RoomConfig:
    """What rooms are drawn; every range is uniform, decay is uniform in its logarithm."""

    count: int = 300
    seed: int = 0
    length_m: tuple[float, float] = (2.5, 9.0)
    width_m: tuple[float, float] = (2.2, 7.0)
    height_m: tuple[float, float] = (2.2, 3.6)
    decay_s: tuple[float, float] = (0.08, 0.7)           # reverberation time: until 60 dB are lost
    distance_m: tuple[float, float] = (0.2, 3.0)         # talker to microphone, as far as the room allows
    wall_margin_m: float = 0.3
    longest_s: float = 0.4                               # responses are cut there; longer ones cost more to apply
    highest_order: int = 20                              # reflections an image may have gone through


class RoomBank:
    """Impulse responses: `len(bank)`, `bank[i]` float32 (n,) with unit energy."""

    def __init__(self, responses: np.ndarray, lengths: np.ndarray):
        self._ends = np.cumsum(lengths)
        self._responses = responses

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> np.ndarray:
        start = self._ends[index - 1] if index else 0
        return self._responses[start:self._ends[index]]

    @classmethod
    def open(cls, cache: str | os.PathLike, config: RoomConfig = RoomConfig()) -> "RoomBank":
        """The bank from the cache folder, made first (half a minute for 300 rooms) where it is not there yet."""
        path = Path(cache) / f"rooms-{_key(config)}.npz"
        if path.is_file():
            try:
                with open(path, "rb") as file, np.load(file) as kept:
                    return cls(kept["responses"], kept["lengths"])
            except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
                raise DataError(f"{path}: is damaged; delete it and it is made again") from error
        rng = np.random.default_rng(config.seed)
        responses = [simulate(rng, config) for _ in range(config.count)]
        lengths = np.array([len(response) for response in responses])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            with open(part, "wb") as file:
                np.savez(file, responses=np.concatenate(responses), lengths=lengths)
            os.replace(part, path)
        except OSError as error:
            raise DataError(f"{path}: the simulated rooms cannot be kept there: {error.strerror}") from error
        return cls(np.concatenate(responses), lengths)


def simulate(rng: np.random.Generator, config: RoomConfig) -> np.ndarray:
    """float32 (n,): the response of one random room with unit energy, its direct sound at LEAD_SAMPLES."""
    try:
        import pyroomacoustics
    except ImportError:
        raise MissingExtraError("pyroomacoustics", "train") from None

    size_m = np.array([rng.uniform(*config.length_m), rng.uniform(*config.width_m), rng.uniform(*config.height_m)])
    decay_s = np.exp(rng.uniform(*np.log(config.decay_s)))
    microphone_m = rng.uniform(config.wall_margin_m, size_m - config.wall_margin_m)
    talker_m = _at_distance(rng, microphone_m, size_m, config)
    try:
        absorption, order = pyroomacoustics.inverse_sabine(decay_s, size_m)
    except ValueError:                                   # a large room cannot be that dry: nearly all is absorbed
        absorption, order = 0.95, 3
    room = pyroomacoustics.ShoeBox(size_m, fs=RATE_HZ, materials=pyroomacoustics.Material(absorption),
                                   max_order=min(order, config.highest_order))
    room.add_source(talker_m)
    room.add_microphone(microphone_m)
    room.compute_rir()
    distance_m = np.linalg.norm(talker_m - microphone_m)
    direct = round(distance_m / room.c * RATE_HZ) + pyroomacoustics.constants.get("frac_delay_length") // 2
    response = np.asarray(room.rir[0][0], np.float32)[direct - LEAD_SAMPLES:][: round(config.longest_s * RATE_HZ)]
    # Beyond the point where 40 dB less energy is left nothing is heard under speech, but every sample costs time.
    left = np.cumsum(response[::-1] ** 2)[::-1]
    response = response[: max(int(np.searchsorted(-left, -1e-4 * left[0])), 4 * LEAD_SAMPLES)].copy()
    fade = min(FADE_SAMPLES, len(response) // 2)
    response[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return response / np.sqrt(np.sum(response ** 2))


def _at_distance(rng: np.random.Generator, centre_m: np.ndarray, size_m: np.ndarray, config: RoomConfig) -> np.ndarray:
    """A point of the room at a random distance and direction from `centre_m`; nearer where the walls are in the way."""
    distance_m = rng.uniform(*config.distance_m)
    while True:
        direction = rng.standard_normal(3) * (1.0, 1.0, 0.4)         # talker and microphone are at similar heights
        point_m = centre_m + distance_m * direction / np.linalg.norm(direction)
        if np.all(point_m > config.wall_margin_m) and np.all(point_m < size_m - config.wall_margin_m):
            return point_m
        distance_m *= 0.97


def _key(config: RoomConfig) -> str:
    return hashlib.sha256(repr(config).encode()).hexdigest()[:12]
