"""Any audio file as blocks of float32 mono at the file's own rate, and samples that a caller hands over.

libsndfile reads wav, flac, mp3, ogg, opus and a dozen more; what it does not know goes through an `ffmpeg` on PATH, as a
subprocess whose output is read as it comes. Either way one second is in memory at a time, so a file may be hours long.
Resampling is not done here (resample.py).

A file that is damaged part way yields the blocks before the damage, then raises AudioError, so that a caller can keep them.
"""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asr.errors import AudioError
from asr.resample import MAX_RATE_HZ, MIN_RATE_HZ

BLOCK_S = 1.0
MAX_CHANNELS = 64                    # more columns than this are samples the wrong way round
STREAMED_BYTES = 0x7FFFF000          # a WAV written to a pipe states this size or more: its length is unknown, not missing
INSTALL_FFMPEG = {"darwin": "brew install ffmpeg", "win32": "winget install ffmpeg"}.get(sys.platform, "sudo apt install ffmpeg")


class AudioReader:
    """An open file: `rate_hz`, `duration_s` (None when the file does not say) and its blocks by iteration, once.

    Each block is (n,) float32, channels averaged, n > 0. Iterating raises AudioError at a sample that is not a number, at a
    place that cannot be decoded, and at the end of a file that is shorter than its header says.
    """

    def __init__(self, path: Path, rate_hz: int, duration_s: float | None):
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(f"{path}: a rate of {rate_hz} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz can be read")
        self.path, self.rate_hz, self.duration_s = path, rate_hz, duration_s

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        position = 0
        for block in self._blocks():
            yield finite(block, f"{self.path}", position, self.rate_hz)
            position += len(block)
        self._check_end(position)

    def close(self):
        """Let go of the file; also when not all of it was read."""
        raise NotImplementedError

    def _blocks(self) -> Iterator[np.ndarray]:
        raise NotImplementedError

    def _check_end(self, num_samples: int):
        raise NotImplementedError

    def _cut_short(self, num_samples: int, promised_s: float | None = None):
        at_s = num_samples / self.rate_hz
        of = f" of {promised_s:.1f}" if promised_s else ""
        raise AudioError(f"{self.path}: cut short after {at_s:.1f}{of} s; copy or record the file again to have the rest")


class SoundFileReader(AudioReader):
    """What libsndfile reads."""

    def __init__(self, path: Path, file):
        super().__init__(path, file.samplerate, file.frames / file.samplerate if file.frames < STREAMED_BYTES else None)
        self._file = file
        # else soundfile seeks, after each read, to where it is; libmpg123 then forgets its bit reservoir: a gap in every block of an MP3
        file.seekable = lambda: False

    def close(self):
        """Close the file."""
        self._file.close()

    def _blocks(self):
        import soundfile
        position, size = 0, round(BLOCK_S * self.rate_hz)
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)         # (n, channels)
            except soundfile.LibsndfileError:                                          # a truncated FLAC or CAF
                self._cut_short(position, self.duration_s)
            if not len(block):
                return
            position += len(block)
            yield mono(block)

    def _check_end(self, num_samples):
        if num_samples < self._file.frames < STREAMED_BYTES:                           # MP3: the header counts the frames
            self._cut_short(num_samples, self.duration_s)
        # WAV, AIFF, AU: libsndfile believes the file's length over the header's and says so in its log only
        claim = re.search(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        if claim and int(claim[2]) < int(claim[1]) < STREAMED_BYTES:
            self._cut_short(num_samples, num_samples / self.rate_hz * int(claim[1]) / max(1, int(claim[2])))
        if self._file.format == "OGG" and not _ends_ogg_stream(self.path):
            self._cut_short(num_samples)


class FFmpegReader(AudioReader):
    """What `ffmpeg` reads: it writes float32 with an AU header, which tells the rate and the channels, to a pipe."""

    BEFORE = ("ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-protocol_whitelist", "file,pipe", "-i")
    AFTER = ("-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "-")

    def __init__(self, path: Path):
        self._log = tempfile.TemporaryFile()                                   # noqa: SIM115 (closed by close)
        command = [*self.BEFORE, f"file:{path}", *self.AFTER]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log)
        try:
            header = self._process.stdout.read(24)
            if len(header) < 24:
                self._process.wait()
                raise AudioError(f"{path}: no audio in it that can be read ({self._reason(path)})")
            _magic, start, _size, _coding, rate_hz, self._channels = struct.unpack(">4s5I", header)
            self._process.stdout.read(start - len(header))
            length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", self._messages())    # written before the first byte of audio
            duration_s = 3600 * int(length[1]) + 60 * int(length[2]) + float(length[3]) if length else None
            super().__init__(path, rate_hz, duration_s)
        except BaseException:
            self.close()
            raise

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()

    def _blocks(self):
        frame_bytes = 4 * self._channels
        while len(data := self._process.stdout.read(round(BLOCK_S * self.rate_hz) * frame_bytes)) >= frame_bytes:
            samples = np.frombuffer(data[:len(data) // frame_bytes * frame_bytes], dtype=">f4").astype(np.float32)
            yield mono(samples.reshape(-1, self._channels))                                # (n, channels) -> (n,)

    def _check_end(self, num_samples):
        at_s = num_samples / self.rate_hz
        if self._process.wait() or (self.duration_s and at_s < 0.98 * self.duration_s - 1):    # containers round their lengths
            self._cut_short(num_samples, self.duration_s)

    def _messages(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def _reason(self, path: Path) -> str:
        lines = [line for line in self._messages().splitlines() if line.strip()]
        return f"ffmpeg says: {lines[-1].removeprefix(f'file:{path}: ')}" if lines else "ffmpeg gives no reason"


def open_audio(path: str | Path) -> AudioReader:
    """Open a file for reading once; use it in `with`. Raises AudioError when it is no audio, or ffmpeg is needed and missing."""
    import soundfile
    path = Path(path)
    try:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder; name the files in it, such as {path / '*.wav'}")
        with open(path, "rb") as file:
            if not file.read(1):
                raise AudioError(f"{path}: the file is empty")
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror})") from None
    try:
        return SoundFileReader(path, soundfile.SoundFile(path))
    except (soundfile.LibsndfileError, TypeError) as error:        # TypeError: a name in .raw, for which it wants a rate
        reason = str(error).partition(": ")[2].strip(" .") or "no header"
    if shutil.which("ffmpeg"):
        return FFmpegReader(path)
    raise AudioError(f"{path}: no audio that can be read here ({reason}); for m4a, mp4 and others install ffmpeg: {INSTALL_FFMPEG}")


def mono(samples: np.ndarray) -> np.ndarray:
    """(n, channels) or (n,) float32 -> (n,) float32, channels averaged."""
    if samples.ndim == 1:
        return samples
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


def finite(samples: np.ndarray, where: str, position: int = 0, rate_hz: int | None = None) -> np.ndarray:
    """`samples` (n,) unchanged; raises AudioError naming the first that is NaN or infinite. `position`: index of the first."""
    if np.isfinite(samples).all():
        return samples
    index = position + int(np.argmin(np.isfinite(samples)))
    at = f" ({index / rate_hz:.2f} s)" if rate_hz else ""
    raise AudioError(f"{where}: sample {index}{at} is not a number; the file is damaged: export it again from its source")


def as_samples(samples) -> np.ndarray:
    """What a caller hands over -> (n,) float32. Takes (n,) or (n, channels), floating point in [-1, 1] or int16."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MAX_CHANNELS):
        raise AudioError(f"samples: shape {samples.shape}; expected (n,) or (n, channels)")
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32768
    elif not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"samples: type {samples.dtype}; expected floating point in [-1, 1], or int16")
    return finite(mono(samples.astype(np.float32, copy=False)), "samples")


def _ends_ogg_stream(path: Path) -> bool:
    """Whether the last Ogg page in the file is marked as the last of its stream (a page is at most 65,307 bytes)."""
    with open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 65_307))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and page + 5 < len(tail) and bool(tail[page + 5] & 4)
