"""What there is to train on: utterances, read from a TSV beside one tar, or beside a folder of audio files.

A set is NAME.tsv with NAME.tar, or a folder that holds one TSV and the audio it names. The TSV has a header line; `utterance` and
`text` are required columns, `speaker`, `seconds`, `label` and `score` optional, any other is ignored. Nothing is decoded here, and
texts are passed on as they stand.

A tar is never unpacked: an Utterance knows where in which file its encoded bytes lie (Location), and `read_encoded` fetches them.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from asr.errors import DataError

AUDIO_SUFFIXES = (".opus", ".flac", ".wav", ".mp3", ".ogg")

COLUMNS = ("utterance", "speaker", "seconds", "source", "label", "score", "text")      # of a manifest that this project writes


@dataclass(frozen=True, slots=True)
class Location:
    """Where the encoded bytes of one utterance lie: `size` bytes from `offset` on in the file `path`."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech with its text.

    `seconds` is what the manifest says, None where it says nothing; `label` is "human" or the kind of machine that wrote the text,
    `score` what that machine thought of it (mean log probability a token), None for people.
    """

    id: str
    speaker: str
    seconds: float | None
    text: str
    label: str
    score: float | None
    location: Location


def read_set(path: str | os.PathLike) -> list[Utterance]:
    """The utterances of a set, in the manifest's order.

    `path` is NAME.tsv, NAME.tar, NAME (with both beside each other), or a folder that holds exactly one TSV. Raises DataError with
    `file:line` for a row that cannot be used: wrong number of fields, empty text, audio that is not there, an id that occurs twice.
    """
    path = Path(path)
    if path.is_dir():
        return _read_rows(_only_tsv(path), _FolderIndex(path))
    if path.suffix not in (".tsv", ".tar"):
        path = path.with_name(path.name + ".tsv")
    manifest, shard = path.with_suffix(".tsv"), path.with_suffix(".tar")
    if not manifest.is_file():
        raise DataError(f"{manifest}: no such manifest; expected a NAME.tsv beside NAME.tar, or a folder with a TSV in it")
    if shard.is_file():
        return _read_rows(manifest, _TarIndex(shard))
    if path.suffix == ".tar" or not _first_audio_is_beside(manifest):
        raise DataError(f"{manifest}:1: its shard {shard.name} is missing, nor does the audio lie as files in {manifest.parent}")
    return _read_rows(manifest, _FolderIndex(manifest.parent))


def list_audio(path: str | os.PathLike) -> list[Utterance]:
    """Every audio file of a folder (searched to the bottom) or of a tar as an utterance without text: noise, for instance."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
        locations = {str(file.relative_to(path)): Location(str(file), 0, file.stat().st_size) for file in files}
    elif path.is_file():
        locations = {name: place for name, place in _tar_members(path).items() if name.lower().endswith(AUDIO_SUFFIXES)}
    else:
        raise DataError(f"{path}: no such folder or tar")
    if not locations:
        raise DataError(f"{path}: no audio in it (looked for {', '.join(AUDIO_SUFFIXES)})")
    return [Utterance(name, "", None, "", "none", None, place) for name, place in locations.items()]


def read_encoded(location: Location) -> bytes:
    """The encoded bytes (an Opus, FLAC, ... file) of one utterance. Safe from several threads. Raises DataError."""
    try:
        with open(location.path, "rb", buffering=0) as file:
            file.seek(location.offset)
            encoded = file.read(location.size)
    except OSError as error:
        raise DataError(f"{location.path}: cannot be read: {error.strerror}") from error
    if len(encoded) != location.size:
        raise DataError(f"{location.path}: ends at byte {location.offset + len(encoded)}, expected {location.size} bytes from "
                        f"{location.offset} on; it has changed or is truncated")
    return encoded


def read_table(path: Path, required: tuple[str, ...]):
    """Yields (line number, {column: field}) for each row of a TSV with a header; no quoting. Raises DataError with file:line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: is not UTF-8; save the manifest as UTF-8") from error
    lines = [line.rstrip("\r") for line in text.split("\n")]
    columns = lines[0].split("\t")
    missing = [name for name in required if name not in columns]
    if missing:
        raise DataError(f"{path}:1: no column {', '.join(missing)} in the header; found {', '.join(columns)[:120]!r}")
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise DataError(f"{path}:{number}: {len(fields)} fields, expected {len(columns)} as in the header (tab-separated)")
        yield number, dict(zip(columns, fields, strict=True))


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text. Raises DataError where it cannot be read or is not UTF-8."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error


def parse_number(row: dict[str, str], column: str, where: str) -> float | None:
    """The number in `column`, None where the column or its field is empty. Raises DataError at `where` ("file:line")."""
    field = row.get(column, "").strip()
    if not field:
        return None
    try:
        return float(field)
    except ValueError:
        raise DataError(f"{where}: {column} is {field!r}, expected a number") from None


def _read_rows(manifest: Path, index: "_TarIndex | _FolderIndex") -> list[Utterance]:
    utterances, line_of = [], {}
    for line, row in read_table(manifest, ("utterance", "text")):
        where, name = f"{manifest}:{line}", row["utterance"].strip()
        if not name:
            raise DataError(f"{where}: no utterance id; give each row the name of its audio")
        if name in line_of:
            raise DataError(f"{where}: utterance {name} stands in line {line_of[name]} already; keep one of them")
        text = row["text"].strip()
        if not text:
            raise DataError(f"{where}: utterance {name} has an empty text; write it or delete the row")
        location = index.find(name)
        if location is None:
            raise DataError(f"{where}: audio of {name} is not in {index.path}; add it or delete the row")
        seconds, score = parse_number(row, "seconds", where), parse_number(row, "score", where)
        if seconds is not None and not seconds > 0:
            raise DataError(f"{where}: seconds is {row['seconds']}, expected more than 0")
        line_of[name] = line
        utterances.append(Utterance(name, row.get("speaker", ""), seconds, text, row.get("label") or "human", score, location))
    if not utterances:
        raise DataError(f"{manifest}: no utterances in it, only a header")
    return utterances


def _only_tsv(folder: Path) -> Path:
    found = sorted(folder.glob("*.tsv"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise DataError(f"{folder}: expected one TSV in the folder, found {names}; name the TSV itself")
    return found[0]


def _first_audio_is_beside(manifest: Path) -> bool:
    for _, row in read_table(manifest, ("utterance", "text")):
        return _FolderIndex(manifest.parent).find(row["utterance"].strip()) is not None
    return False


class _FolderIndex:
    """Finds an utterance among files: named in full, or without its suffix."""

    def __init__(self, path: Path):
        self.path = path

    def find(self, name: str) -> Location | None:
        for suffix in ("", *AUDIO_SUFFIXES):
            file = self.path / (name + suffix)
            if file.is_file():
                return Location(str(file), 0, file.stat().st_size)
        return None


class _TarIndex:
    """Finds an utterance among the members of a tar: by full name, without suffix, or without folder and suffix."""

    def __init__(self, path: Path):
        self.path = path
        self._by_name: dict[str, Location] = {}
        for name, location in _tar_members(path).items():
            member = PurePosixPath(name)
            for key in (name, str(member.with_suffix("")), member.stem):
                self._by_name.setdefault(key, location)

    def find(self, name: str) -> Location | None:
        return self._by_name.get(name)


def _tar_members(path: Path) -> dict[str, Location]:
    try:
        with tarfile.open(path, "r:") as tar:
            return {member.name: Location(str(path), member.offset_data, member.size) for member in tar if member.isfile()}
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{path}: is not a whole, uncompressed tar ({error}); copy it again") from error
