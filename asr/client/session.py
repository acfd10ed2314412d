"""A session's transcript, kept as it goes: a file of JSON lines that gets each final before the screen does.

    {"asr_session": 1, "started": ISO time, "source": ..., "bundle": ..., "chunk_ms": ...}
    {"audio": file name}                                     each part of what was recorded, see recording.py
    {"start_s": ..., "end_s": ..., "reason": ..., "words": [{"text", "start_s", "end_s", "confidence"}, ...]}       one a final
    {"mark_s": ...}                                          a moment that the user marked, in order of being pressed
    {"ended": ISO time}

Lines are only ever added, each in one write that is on the disk before the final is shown, so whatever ends the program takes no final
with it. A file without the last line is of a session that was cut off, or that still runs. Reading skips a line that is cut, and
lines of a kind that it does not know.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from asr.client.captions import Final
from asr.decoding.hypothesis import Word
from asr.errors import AsrError

FORMAT = 1
SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Session:
    """What a session file says. `ended` is None where it was cut off or still runs; `damaged` counts lines that cannot be read."""

    path: Path
    started: datetime
    source: str
    bundle: str
    audio: tuple[Path, ...] = ()     # recorded parts, one after another
    finals: tuple[Final, ...] = ()
    marks_s: tuple[float, ...] = ()
    ended: datetime | None = None
    damaged: int = 0

    @property
    def name(self) -> str:
        """What commands call it by."""
        return self.path.stem

    @property
    def words(self) -> tuple[Word, ...]:
        """Those of all finals."""
        return tuple(word for final in self.finals for word in final.words)


@dataclass
class SessionFile:
    """Writes a session. Nothing is made before the first final or mark, so a session without words leaves no file.

    What cannot be written now (a full disk) is kept and written with the next final; `tell` gets one line when that begins and one
    when all is written again.
    """

    folder: Path
    source: str
    bundle: str
    tell: Callable[[str], None]
    chunk_ms: int = 0
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self):
        self.path: Path | None = None
        self._file: int | None = None
        self._waiting = b""
        self._good = 0               # bytes of whole lines in the file
        self._failing = False

    def add(self, final: Final) -> None:
        """Keep a final; one without words is none."""
        if final.words:
            words = [{"text": word.text, "start_s": round(word.start_s, 3), "end_s": round(word.end_s, 3),
                      "confidence": round(word.confidence, 4)} for word in final.words]
            self._write({"start_s": round(final.start_s, 3), "end_s": round(final.end_s, 3), "reason": final.reason, "words": words})

    def begin(self) -> Path:
        """Make the file now, before any final. Raises AsrError where that cannot be."""
        try:
            if self._file is None:
                self._open()
        except OSError as error:
            raise AsrError(f"{error.filename or self.folder}: {error.strerror}; say with --sessions where to keep sessions") from None
        return self.path

    def add_audio(self, name: str) -> None:
        """Name a recorded part, which lies beside the file."""
        self._write({"audio": name})

    def add_mark(self, at_s: float) -> None:
        """Mark a moment, in seconds from the start."""
        self._write({"mark_s": round(at_s, 3)})

    def close(self) -> None:
        """Write the last line, if there is a file; and tell what it lacks. One that nothing could be written into goes."""
        if self._file is not None:
            self._write({"ended": _now()})
            with contextlib.suppress(OSError):
                os.close(self._file)
                if not self._good:
                    self.path.unlink()
            self._file = None
            if self._waiting:
                self.tell(f"asr: {self.path}: the captions since then could not be written to the end: they were shown, and are not kept")

    def _write(self, entry: dict) -> None:
        self._waiting += _line(entry)
        try:
            if self._file is None:
                self._open()
            os.lseek(self._file, self._good, os.SEEK_SET)
            os.ftruncate(self._file, self._good)             # what a full disk cut goes
            rest = memoryview(self._waiting)
            while rest:
                rest = rest[os.write(self._file, rest):]
            os.fsync(self._file)
        except OSError as error:
            if not self._failing:
                self.tell(f"asr: {error.filename or self.path or self.folder}: {error.strerror}; captions go on and are written as soon as "
                          "that is possible: make room, or say with --sessions where to keep them")
            self._failing = True
            return
        self._good, self._waiting = self._good + len(self._waiting), b""
        if self._failing:
            self.tell(f"{self.path}: the captions are written again, none is missing")
        self._failing = False

    def _open(self) -> None:
        """Make a file of a name that is not taken."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name, number = self.started.astimezone().strftime("%Y-%m-%d-%H%M%S"), 1
        while self._file is None:
            path = self.folder / (name + (f"-{number}" if number > 1 else "") + SUFFIX)
            with contextlib.suppress(FileExistsError):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
                self.path = path
            number += 1
        head = {"asr_session": FORMAT, "started": self.started.isoformat(timespec="seconds"), "source": self.source, "bundle": self.bundle,
                "chunk_ms": self.chunk_ms}
        self._waiting = _line(head) + self._waiting


def sessions_folder() -> Path:
    """Where sessions are kept: $ASR_SESSIONS, else `asr/sessions` in the user's folder for data. Not made here."""
    if chosen := os.environ.get("ASR_SESSIONS"):
        return Path(chosen)
    system = {"darwin": "~/Library/Application Support", "win32": "~/AppData/Local"}.get(sys.platform, "~/.local/share")
    root = os.environ.get("XDG_DATA_HOME", "")
    return Path(root if os.path.isabs(root) else os.path.expanduser(system)) / "asr" / "sessions"


def read_session(path: Path) -> Session:
    """Raises AsrError for a file that cannot be read or is no session of a format that this program knows."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise AsrError(f"{path}: {error.strerror}") from None
    entries = [_parsed(line) for line in lines]
    head = entries[0] if entries and entries[0] else {}
    if not isinstance(head.get("asr_session"), int):
        raise AsrError(f"{path} is no session: a file that asr live wrote is expected; asr sessions lists them")
    if head["asr_session"] > FORMAT:
        raise AsrError(f"{path} was written by a newer version: update asr to read it")
    finals, marks_s, audio, ended, damaged = [], [], [], None, 0
    for entry in entries[1:]:
        try:
            if "words" in entry:
                words = tuple(Word(str(w["text"]), float(w["start_s"]), float(w["end_s"]), float(w["confidence"])) for w in entry["words"])
                finals.append(Final(words, float(entry["start_s"]), float(entry["end_s"]), str(entry["reason"])))
            elif "audio" in entry:
                audio.append(str(entry["audio"]))
            elif "mark_s" in entry:
                marks_s.append(float(entry["mark_s"]))
            elif "ended" in entry:
                ended = datetime.fromisoformat(entry["ended"])
        except (KeyError, TypeError, ValueError):
            damaged += 1
    return Session(path, datetime.fromisoformat(head["started"]), str(head.get("source", "")), str(head.get("bundle", "")),
                   tuple(path.parent / Path(name).name for name in audio), tuple(finals), tuple(marks_s), ended, damaged)


def find_sessions(folder: Path) -> list[Path]:
    """The session files in a folder, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stem) if folder.is_dir() else []


def find_session(folder: Path, name: str) -> Path:
    """A session by its name, the beginning of one, "last", or its path. Raises AsrError where none or several are meant."""
    if Path(name).suffix == SUFFIX and Path(name).is_file():
        return Path(name)
    known = find_sessions(folder)
    if name == "last" and known:
        return known[-1]
    meant = [path for path in known if path.stem == name] or [path for path in known if path.stem.startswith(name)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        some = ", ".join(path.stem for path in meant[:5]) + ", ..." * (len(meant) > 5)
        raise AsrError(f"{name} may be {some}: give more of the name")
    raise AsrError(f"{folder} holds no session {name}; asr sessions lists those that there are")


def _parsed(line: bytes) -> dict | None:
    try:
        entry = json.loads(line)
    except ValueError:               # UnicodeDecodeError is one
        return None
    return entry if isinstance(entry, dict) else None


def _line(entry: dict) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
