"""The rows of recordings/benchmark.json: one figure each, with what it was measured on and by which commit.

A new row takes the place of the one with the same metric, set, system, precision and mode; all others stay. So a long benchmark can
be made in parts, on several days, and a row says itself how old it is.
"""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import asr
from asr.errors import DataError
from asr.files import write_whole

METRICS = {                      # name -> unit
    "wer": "%",
    "cer": "%",
    "rtf_file": "s/s",           # seconds of one core for a second of audio
    "rtf_stream": "s/s",
    "final_latency_p50": "ms",   # from the last sample to the final text, the endpointer's pause excluded
    "final_latency_p95": "ms",
    "flicker": "words/word",     # changed after they were shown, for each final word
    "withdrawn": "words/word",   # ... of these, taken back without another in their place
    "first_shown_p50": "ms",     # from the end of a word to the caption that first shows it
    "endpoint_latency_p50": "ms",    # from the sound that ends an utterance's pause to its final
    "endpoint_latency_p95": "ms",
    "peak_memory": "MB",
    "size": "MB",
    "startup": "s",
    "idle_cpu": "%",             # of one core, while nobody speaks
    "soak_hours": "h",           # these of the soak are explained in soak.py
    "soak_memory_growth": "MB",
    "soak_rtf_first": "s/s",
    "soak_rtf_last": "s/s",
    "soak_finals": "finals",
    "soak_words": "words",
    "soak_unheard": "utterances",
    "soak_lost": "s",
}
LIBRARY, PROGRAM, WHOLE = "library", "asr live", "all files"       # in place of a set: what was started, whose size it is
SET_ORDER = ("recordings", "dev-libri", "dev-cv", "dev-l2", "test-libri", "test-cv", "test-l2")


@dataclass(frozen=True)
class Row:
    """One figure. `set` is what it was measured on: a set of speech, a file (sizes) or a command (memory, start-up)."""

    metric: str
    set: str
    system: str
    precision: str
    mode: str
    value: float
    unit: str
    commit: str
    machine: str

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What there is one row of."""
        return self.metric, self.set, self.system, self.precision, self.mode


def make_row(metric: str, set_name: str, system: str, precision: str, mode: str, value: float) -> Row:
    """A row with its unit, this commit and this machine."""
    return Row(metric, set_name, system, precision, mode, float(f"{value:.4g}"), METRICS[metric], current_commit(), this_machine())


def merge(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """`old` with `new` rows in place of those with the same key, in a fixed order."""
    rows = {row.key: row for row in (*old, *new)}
    return sorted(rows.values(), key=_place)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file yet. Raises DataError where it is not such a file."""
    if not path.exists():
        return []
    try:
        return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a list of benchmark rows ({error}); move it away and the benchmark makes a new one") from error


def add_rows(path: Path, new: Iterable[Row]) -> list[Row]:
    """Merges rows into a file, one row a line -> all its rows. Raises DataError."""
    rows = merge(read_rows(path), new)
    lines = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    try:
        write_whole(path, f"[\n{lines}\n]\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}; name another file with --output") from error
    return rows


def project_root() -> Path:
    """The clone that this package lies in (or the folder that it is installed in)."""
    return Path(asr.__file__).resolve().parents[1]


@cache
def current_commit() -> str:
    """The commit that this program is at, with `-dirty` where tracked files differ from it; its version outside a repository."""
    root = project_root()
    commit = _git(root, "rev-parse", "--short=10", "HEAD") if (root / ".git").exists() else None
    if not commit:
        return f"version {asr.__version__}"
    # what a benchmark writes itself does not make the program another one
    written = (":(exclude)recordings/benchmark.json", ":(exclude)README.md")
    return f"{commit}-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *written) else commit


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


@cache
def this_machine() -> str:
    """The processor, its cores, and the instructions that decide the speed of int8."""
    model, flags = platform.processor() or platform.machine(), set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = (part.strip() for part in line.partition(":"))
            if name == "model name":
                model = value
            elif name in ("flags", "Features"):
                flags = set(value.split())
    except OSError:
        pass                                                                        # another system than Linux
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm") if flag in flags]
    return ", ".join([model, f"{os.cpu_count()} cores", " ".join(known)]).rstrip(", ")


def _place(row: Row) -> tuple:
    metrics = list(METRICS)
    metric = metrics.index(row.metric) if row.metric in metrics else len(metrics)
    a_set = SET_ORDER.index(row.set) if row.set in SET_ORDER else len(SET_ORDER)
    return metric, a_set, row.set, row.system != "asr", row.system, row.precision, row.mode
