"""A bundle is all that recognising needs, as a folder or one `.asr` file (a zip): the contract between export and client.

    bundle.json          what follows, the sizes and SHA-256 sums of the other files, settings, and what was measured on them
    acoustic.onnx        the acoustic model in float32          } either may be missing
    acoustic.int8.onnx   the same with int8 products            }
    phones.txt           units of the first head, one a line, in the order of their ids
    pieces.txt           units of the second head
    pieces.model         sentencepiece model of the second head, for training on (optional, not read by the client)
    lexicon.txt.gz       word, tab, phones; a word may have several lines             } for the beam decoder
    language.binary      KenLM language model                                         }
    rescorer.onnx        word model that chooses among the beam's hypotheses      } optional
    rescorer.words.txt   words that it knows, in the order of their ids           }
    MODEL_CARD.md        for people: data, licences, limits

`load_bundle` refuses what is missing, cut off, changed, or made for a newer program. This module knows nothing of networks: standard
library, asr.cache, asr.config and asr.units only.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asr import config
from asr.cache import cache_folder, read_known, remember, stamp_of, sum_of
from asr.config import Latency, ModelConfig
from asr.errors import BundleError, DataError
from asr.units import Units

FORMAT = 1                           # raised when an older program could not use a newer bundle
MANIFEST = "bundle.json"
WRITTEN = ("format", "time", "latencies", "files")           # entries of it that write_manifest makes
DEFAULT = Path(__file__).with_name("models") / "english"
TIME_ARITHMETIC = {
    "rate_hz": config.RATE_HZ,
    "frame_samples": config.FRAME_SAMPLES,
    "history_samples": config.HISTORY_SAMPLES,
    "reach_samples": config.REACH_SAMPLES,
}
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")      # a manifest's names cannot lead out of the folder
_REPAIR = "install the bundle again"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle. `identity` is the SHA-256 of its bundle.json, so it stands for every file in it."""

    folder: Path
    name: str
    created: str                     # ISO 8601
    identity: str
    model: ModelConfig
    phones: tuple[str, ...]          # unit of each id; the blank is 0
    pieces: tuple[str, ...]
    latencies: dict[int, Latency]    # chunk in ms -> frames
    files: tuple[str, ...]
    decoding: dict = field(default_factory=dict)
    wer: dict = field(default_factory=dict)
    licence: str = ""

    def has(self, name: str) -> bool:
        """Whether the bundle holds a file of that name."""
        return name in self.files

    def path(self, name: str) -> Path:
        """Path of one of the bundle's files. Raises BundleError where the bundle has none of that name."""
        if name not in self.files:
            raise BundleError(f"the bundle {self.folder} has no {name}: use another bundle, or export this one again with it")
        return self.folder / name


def load_bundle(path: str | os.PathLike | None = None) -> Bundle:
    """Read and check a bundle: a folder or an `.asr` file; None is the bundle that comes with the program. Raises BundleError."""
    source = Path(path) if path is not None else DEFAULT
    if not source.exists():
        hint = "give the path of a bundle" if path is None else "check the path"
        raise BundleError(f"no bundle at {source}: {hint} (a folder with {MANIFEST}, or an .asr file)")
    folder = source if source.is_dir() else _extracted(source)
    raw = _read_manifest(folder, source)
    manifest = _checked_manifest(raw, source)
    _check_files(folder, source, manifest["files"])
    return _parse(folder, source, manifest, hashlib.sha256(raw).hexdigest())


def write_manifest(folder: Path, **fields) -> None:
    """Write bundle.json over the files that `folder` holds. `fields`: its other entries (name, created, model, decoding, wer, licence)."""
    files = {p.name: {"sha256": sum_of(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir()) if p.name != MANIFEST}
    latencies = {str(ms): {"chunk": latency.chunk, "right": latency.right} for ms, latency in config.LATENCIES.items()}
    manifest = {"format": FORMAT, **fields, "time": TIME_ARITHMETIC, "latencies": latencies, "files": files}
    _write_json(folder / MANIFEST, manifest)


def revise(target: Path, **fields) -> Bundle:
    """Replace entries of an installed bundle's bundle.json, such as its decoding weights or error rates; its files stay as they are."""
    bundle = load_bundle(target)
    with replacing(target) as folder:
        for name in bundle.files:
            shutil.copyfile(bundle.folder / name, folder / name)
        manifest = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))
        _write_json(folder / MANIFEST, {**manifest, **fields})
    return load_bundle(target)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder to fill, which becomes `target` when the block ends well: a zip if the name ends in .asr, else a folder.

    It lies beside `target` until then, so whatever fails (a full disk, Ctrl-C) leaves an older bundle there as it was.
    """
    target = Path(target).absolute()
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).exists():
        raise BundleError(f"{target} is a folder of something else (no {MANIFEST} in it): give another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as work:
            new = Path(work) / "new"
            new.mkdir()
            yield new
            if target.suffix == ".asr":
                new = _zipped(new, Path(work) / "new.asr")
            _swap(new, target, aside=Path(work) / "old")
    except OSError as error:
        raise BundleError(f"cannot write the bundle {target}: {error.strerror or error}") from error


def install(source: str | os.PathLike, target: Path) -> Bundle:
    """Check the bundle at `source` and put it at `target` (folder or .asr) by writing beside and renaming."""
    bundle = load_bundle(source)
    with replacing(target) as folder:
        for name in (MANIFEST, *bundle.files):
            shutil.copyfile(bundle.folder / name, folder / name)
    return load_bundle(target)


def _swap(new: Path, target: Path, aside: Path) -> None:
    if not target.is_dir():                                  # files are replaced in one step, folders cannot be
        os.replace(new, target)
        return
    os.rename(target, aside)
    try:
        os.replace(new, target)
    except OSError:
        os.rename(aside, target)
        raise


def _read_manifest(folder: Path, source: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"{source} is no bundle: it has no readable {MANIFEST} ({error.strerror})") from error


def _checked_manifest(raw: bytes, source: Path) -> dict:
    """bundle.json's bytes -> its entries, with the format and the file names checked."""
    try:
        manifest = json.loads(raw)
        version, files = int(manifest["format"]), manifest["files"]
        sums = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{source}: {MANIFEST} is corrupt ({type(error).__name__}: {error}): {_REPAIR}") from error
    if version > FORMAT:
        raise BundleError(f"{source} has bundle format {version}, this program knows up to {FORMAT}: update the program")
    for name in sums:
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise BundleError(f"{source}: {MANIFEST} names a file {name!r}, which a bundle cannot hold: {_REPAIR}")
    return {**manifest, "files": sums}


def _check_files(folder: Path, source: Path, sums: Mapping[str, tuple[int, str]]) -> None:
    """Compare each file's size and SHA-256. The sums of unchanged files are remembered: hashing all costs 30-200 ms."""
    known, fresh = read_known(), {}
    for name, (size, sha256) in sums.items():
        path = folder / name
        try:
            bytes_now, stamp = path.stat().st_size, stamp_of(path)
        except OSError as error:
            raise BundleError(f"{source}: the file {name} is missing ({error.strerror}): {_REPAIR}") from error
        if bytes_now != size:
            raise BundleError(f"{source}: {name} has {bytes_now} bytes, {MANIFEST} says {size}: {_REPAIR}")
        fresh[stamp] = known.get(stamp) or sum_of(path)
        if fresh[stamp] != sha256:
            raise BundleError(f"{source}: {name} is not the file that was exported (its SHA-256 differs): {_REPAIR}")
    remember(known, fresh)


def _parse(folder: Path, source: Path, manifest: dict, identity: str) -> Bundle:
    try:
        bundle = Bundle(
            folder=folder,
            name=manifest["name"],
            created=manifest["created"],
            identity=identity,
            model=ModelConfig.from_dict(manifest["model"]),
            phones=Units.read(folder / "phones.txt").units,
            pieces=Units.read(folder / "pieces.txt").units,
            latencies={int(ms): Latency(**frames) for ms, frames in manifest["latencies"].items()},
            files=tuple(manifest["files"]),
            decoding=manifest.get("decoding", {}),
            wer=manifest.get("wer", {}),
            licence=manifest.get("licence", ""),
        )
        time = manifest["time"]
    except DataError as error:
        raise BundleError(f"{error}: {_REPAIR}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{source}: {MANIFEST} is corrupt ({type(error).__name__}: {error}): {_REPAIR}") from error
    if time != TIME_ARITHMETIC:
        raise BundleError(f"{source} was made for other frames than this program's ({time}): export it again")
    for units, expected, name in ((bundle.phones, bundle.model.phones, "phones.txt"), (bundle.pieces, bundle.model.pieces, "pieces.txt")):
        if len(units) != expected:
            raise BundleError(f"{source}: {name} has {len(units)} units, the model has {expected}: export it again")
    if not (bundle.has("acoustic.onnx") or bundle.has("acoustic.int8.onnx")):
        raise BundleError(f"{source} has no acoustic model (acoustic.onnx or acoustic.int8.onnx): export it again")
    return bundle


def _write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _extracted(archive: Path) -> Path:
    """Unpack an .asr file into the cache, once for as long as the file stays the same -> the folder."""
    try:
        with zipfile.ZipFile(archive) as packed:
            raw = packed.read(MANIFEST)
            folder = cache_folder() / "bundles" / hashlib.sha256(raw).hexdigest()[:32]
            known, stamp, sums = read_known(), stamp_of(archive), _checked_manifest(raw, archive)["files"]
            if stamp not in known or not _is_whole(folder, sums):
                with replacing(folder) as new:
                    (new / MANIFEST).write_bytes(raw)
                    for name, (size, _) in sums.items():
                        with packed.open(name) as source:
                            (new / name).write_bytes(source.read(size + 1))      # + 1: a longer one fails the check, at any length
                    _check_files(new, archive, sums)
                remember(known, {stamp: folder.name})
            return folder
    except KeyError as error:
        raise BundleError(f"{archive} is no whole bundle ({error.args[0]}): {_REPAIR}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"{archive} is no readable bundle ({error}): {_REPAIR}") from error


def _is_whole(folder: Path, sums: Mapping[str, tuple[int, str]]) -> bool:
    try:
        _check_files(folder, folder, sums)
    except BundleError:
        return False
    return (folder / MANIFEST).exists()


def _zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.iterdir()):
            packed.write(path, path.name)
    return archive
