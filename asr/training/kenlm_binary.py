"""ARPA files, and KenLM's binary form of them: a trie with probabilities and back-off weights quantised to 8 bits.

KenLM's Python package reads such files but cannot write them; its source holds the program that does, build_binary, which a C++
compiler alone can build (no Boost, no CMake). `asr language` does that once, and keeps the program in the user's cache folder.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.errors import AsrError, DataError
from asr.training.ngrams import BOUNDARY, Level

KENLM = "kenlm==0.3.0"
BITS = 8                             # of a quantised probability or back-off weight
POINTER_BITS = 22                    # at most so many high bits of the pointers are kept in a table
CHUNK = 200_000


def trie_bytes(rows: Sequence[int]) -> int:
    """About how many bytes the quantised trie takes that has so many n-grams of order 1, 2, ..."""
    word_bits = int(rows[0]).bit_length()
    size = rows[0] * (16 + 8)                                     # probability, back-off and pointer; hash of the word
    for n, count in enumerate(rows[1:], start=2):
        if n == len(rows):
            size += count * (word_bits + BITS) // 8
        else:
            size += count * (word_bits + 2 * BITS) // 8 + _pointer_bytes(count, int(rows[n]))
    return size


def write_arpa(path: str | Path, words: Sequence[str], levels: list[Level], probs: list[np.ndarray], left: list[np.ndarray]) -> None:
    """Writes an ARPA file; `left[n]` are the back-off weights of the histories in order n - 1 (see ngrams.backoffs)."""
    names = np.array(words, object)
    ids = np.arange(len(words), dtype=np.int32)[:, None]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={len(level) + (n == 1)}\n" for n, level in enumerate(levels, start=1)))
        for n, level in enumerate(levels, start=1):
            if n > 1:
                ids = np.concatenate([ids[level.prefix], level.word[:, None]], axis=1)
            weights = np.log10(left[n]) if n < len(levels) else None
            _write_order(file, n, names, ids, np.log10(probs[n - 1]), weights)
        file.write("\n\\end\\\n")


def build_trie(arpa: str | Path, target: str | Path) -> None:
    """Writes the quantised trie of an ARPA file. Raises AsrError if KenLM's program cannot be built or refuses the file."""
    program = build_binary()
    options = ["-q", str(BITS), "-b", str(BITS), "-a", str(POINTER_BITS), "-v", "trie"]
    with tempfile.TemporaryDirectory() as folder:
        _run([program, *options, "-T", f"{folder}/", arpa, target], "build the language model's trie")


def build_binary() -> Path:
    """KenLM's build_binary: from PATH, from the cache, or built now (two minutes). Raises AsrError telling what is missing."""
    if found := shutil.which("build_binary"):
        return Path(found)
    program = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asr" / KENLM.replace("==", "-") / "build_binary"
    if program.exists():
        return program
    compiler = shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise AsrError("no C++ compiler to build KenLM's build_binary with; on Debian: sudo apt-get install g++")
    with tempfile.TemporaryDirectory() as folder:
        source = _unpack_source(Path(folder))
        # One compiler run for all files: no object files to keep track of.
        files = [str(file) for part in ("util/double-conversion", "util", "lm") for file in sorted((source / part).glob("*.cc"))
                 if not file.stem.endswith(("test", "main"))]
        built = source / "build_binary"
        _run([compiler, "-O2", "-DNDEBUG", "-DKENLM_MAX_ORDER=6", f"-I{source}", str(source / "lm/build_binary_main.cc"), *files,
              "-lrt" if sys.platform == "linux" else "-lm", "-o", built], "build KenLM's build_binary")
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(built, program.with_suffix(".tmp"))
        os.replace(program.with_suffix(".tmp"), program)
    return program


def _pointer_bytes(count: int, furthest: int) -> int:
    """For `count` rising pointers up to `furthest`: KenLM keeps the low bits of each, and a table of where the high bits change."""
    return min(count * low // 8 + 8 * (furthest >> low) for low in range(furthest.bit_length() + 1))


def _unpack_source(folder: Path) -> Path:
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "kenlm", "--dest", folder, KENLM],
         "fetch KenLM's source")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def _write_order(file, n: int, names: np.ndarray, ids: np.ndarray, log_probs: np.ndarray, weights: np.ndarray | None) -> None:
    file.write(f"\n\\{n}-grams:\n")
    if n == 1:                                                    # the boundary is two words here
        file.write(f"-99\t<s>\t{weights[BOUNDARY]:.5f}\n")
        weights = np.where(np.arange(len(weights)) == BOUNDARY, 0.0, weights)
    for low in range(0, len(ids), CHUNK):
        part = slice(low, low + CHUNK)
        columns = [names[ids[part, place]].tolist() for place in range(n)]
        if n > 1:
            columns[0] = ["<s>" if word == "</s>" else word for word in columns[0]]
        ngrams = map(" ".join, zip(*columns))
        if weights is None:
            file.writelines(f"{log_prob:.5f}\t{ngram}\n" for log_prob, ngram in zip(log_probs[part].tolist(), ngrams))
        else:
            file.writelines(f"{log_prob:.5f}\t{ngram}\t{weight:.5f}\n"
                            for log_prob, ngram, weight in zip(log_probs[part].tolist(), ngrams, weights[part].tolist()))


def _run(command: list, purpose: str) -> None:
    try:
        subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    except OSError as error:
        raise DataError(f"{command[0]}: cannot {purpose}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or error.stdout.strip() or "no message").splitlines()[-1]
        raise DataError(f"{Path(command[0]).name}: cannot {purpose}: {reason}") from error
