"""Many recordings: which there are, which are done already, and their work, shared among processes of this machine (cluster.py: of many).

A file is there once it is whole, so whatever ends the program leaves each recording done or not begun: run again, it does the rest.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from asr.audio import AudioReader, open_audio
from asr.client.recognizer import Recognizer
from asr.errors import AsrError, AudioError
from asr.files import write_whole
from asr.processes import worker_pool
from asr.subtitles import FORMATS

ENDINGS = frozenset((".3gp", ".aac", ".aif", ".aiff", ".amr", ".au", ".avi", ".caf", ".flac", ".m4a", ".m4b", ".m4v", ".mka", ".mkv",
                     ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".oga", ".ogg", ".opus", ".wav", ".webm", ".wma"))
INTERRUPT_EVERY_S = 0.3
Follow = Callable[[AudioReader], Iterable[np.ndarray]]       # the blocks of an open recording, while something is told of them


@dataclass(frozen=True)
class Job:
    """A recording, and the file to write (None: its text is handed back)."""

    recording: Path
    target: Path | None

    @property
    def is_done(self) -> bool:
        """Whether the file is there and newer than the recording."""
        try:
            return self.target is not None and self.target.stat().st_mtime >= self.recording.stat().st_mtime
        except OSError:
            return False


@dataclass(frozen=True)
class Settings:
    """What makes a Recognizer; the fields are its arguments."""

    bundle: str | None = None
    decoder: str = "beam"
    precision: str = "auto"
    threads: int = 1
    all_words: bool = False
    own_words: tuple[str, ...] = ()


def make_jobs(paths: Sequence[Path], form: str, output_dir: Path | None) -> list[Job]:
    """The work on files and folders: each recording with the file to write in a form of subtitles.FORMATS, beside it or in `output_dir`.

    A folder stands for all recordings below it, by the ending of their names; in `output_dir` they keep the folders between. Where two
    differ in their ending alone, the later one's file has it in its name. Plain text without `output_dir` is not written. Raises
    AudioError for a folder without recordings or that cannot be read, AsrError where two would write one file.
    """
    found = dict(pair for path in paths for pair in ([(path, Path(path.name))] if not path.is_dir() else _below(path)))
    if form == "txt" and output_dir is None:
        return [Job(recording, None) for recording in found]
    jobs: dict[Path, Job] = {}
    for recording, name in found.items():
        place = output_dir / name if output_dir else recording
        target = place.with_suffix(f".{form}")
        if target in jobs:                                   # talk.mp4 beside talk.wav
            target = place.with_name(f"{place.name}.{form}")
        if target in jobs:
            raise AsrError(f"{jobs[target].recording} and {recording} would both be written to {target}; do them apart, with --output-dir")
        jobs[target] = Job(recording, target)
    return list(jobs.values())


def _below(folder: Path) -> list[tuple[Path, Path]]:
    """The recordings in a folder and the folders in it, each with its path from there; hidden ones are left out."""
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in sorted(files) if Path(name).suffix.lower() in ENDINGS and not name.startswith(".")]
    if not found:
        raise AudioError(f"{folder}: no recordings in this folder or below; name files whose endings are unusual themselves")
    return [(path, path.relative_to(folder)) for path in found]


def _refuse(error: OSError):
    raise AudioError(f"{error.filename}: cannot be read ({error.strerror}); make it readable, or name the other folders apart") from error


def do(recognizer: Recognizer, job: Job, follow: Follow = iter) -> tuple[str, str]:
    """Recognise a recording and write its file in one go -> its text, for a job without a file, and what is the matter with it.

    The words before a damage are written all the same; the file is then dated before the recording, so that it does not count as done.
    Raises AudioError where there are none.
    """
    words, damage = [], None
    with open_audio(job.recording) as audio:
        try:
            for final in recognizer.recognise(follow(audio), audio.rate_hz):
                words += final.words
        except AudioError as error:
            if not words:
                raise
            damage = error
    problem = str(damage or "")
    if job.target is None:
        return FORMATS["txt"](words), problem
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(job.target, FORMATS[job.target.suffix[1:]](words), job.recording.stat().st_mtime - 1 if damage else None)
    return "", problem


@cache
def _recognizer(settings: Settings) -> Recognizer:
    return Recognizer(**asdict(settings))


def do_apart(settings: Settings, job: Job) -> tuple[str, str]:
    """A job in a process of its own, which loads its recogniser for the first and keeps it -> its text, and what is the matter with it.

    Raises AsrError where the bundle cannot be used.
    """
    try:
        return do(_recognizer(settings), job)
    except AudioError as error:
        return "", str(error)


def in_order(jobs: Sequence[Job], ended: Iterable[tuple[int, str, str]],
             advance: Callable[[Job], None]) -> Iterator[tuple[Job, str, str]]:
    """Jobs that end in any order, each with its number, text and problem -> in their own order; `advance` is told each that ends."""
    waiting, following = {}, 0
    for number, text, problem in ended:
        advance(jobs[number])
        waiting[number] = text, problem
        while following in waiting:
            yield jobs[following], *waiting.pop(following)
            following += 1


def in_processes(jobs: Sequence[Job], settings: Settings, processes: int) -> Iterator[tuple[int, str, str]]:
    """Do the jobs in several processes -> as each ends its number, text, and what is the matter with it.

    Raises AsrError where the bundle cannot be used, and where a process is killed.
    """
    with worker_pool(processes) as pool:
        try:
            with _without_interrupts():                      # so the processes begin: an interrupt is for their jobs alone
                numbers = {pool.submit(_do_here, settings, job): number for number, job in enumerate(jobs)}
            for future in as_completed(numbers):
                yield numbers[future], *future.result()
        except BrokenProcessPool:
            raise AsrError("a process was killed from outside, as happens when memory runs out: run the same again, with fewer --jobs; "
                           "files that are written already are not done again") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while children := multiprocessing.active_children():
                for child in children:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child.pid, signal.SIGINT)    # ends its job as Ctrl-C does, and removes what it had half written
                time.sleep(INTERRUPT_EVERY_S)                # a process may just have taken its next job
            raise


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _do_here(settings: Settings, job: Job) -> tuple[str, str]:
    """As do_apart, and an interrupt ends the job, not the process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return do_apart(settings, job)
    except KeyboardInterrupt:
        return "", f"{job.recording}: stopped"
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
