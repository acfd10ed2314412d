"""Many recordings: which there are, which are done already, and their work, shared among processes.

A file is written beside its place and renamed once it is whole, so whatever ends the program leaves each recording done or not begun:
run again, it does the rest.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asr.audio import AudioReader, open_audio
from asr.client.recognizer import Recognizer
from asr.errors import AsrError, AudioError
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
    partial = job.target.with_name(f".{job.target.name}.{os.getpid()}.part")
    try:
        partial.write_text(FORMATS[job.target.suffix[1:]](words), encoding="utf-8", newline="\n")
        if damage:
            before_s = job.recording.stat().st_mtime - 1
            os.utime(partial, (before_s, before_s))
        os.replace(partial, job.target)
    finally:
        partial.unlink(missing_ok=True)
    return "", problem


def in_processes(jobs: Sequence[Job], settings: Settings, processes: int,
                 advance: Callable[[Job], None]) -> Iterator[tuple[Job, str, str]]:
    """Do the jobs in several processes -> each in their order with its text, and what is the matter with it.

    `advance` is called, from another thread, with each job that ends. Raises AsrError where the bundle cannot be used, and where a
    process is killed.
    """
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _load, (settings,)) as pool:
        try:
            with _without_interrupts():                      # so the processes begin: an interrupt is for their jobs alone
                futures = [pool.submit(_do_here, job) for job in jobs]
            for job, future in zip(jobs, futures, strict=True):
                future.add_done_callback(lambda _, job=job: advance(job))
            for job, future in zip(jobs, futures, strict=True):
                yield job, *future.result()
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


_here: dict[str, Recognizer | AsrError] = {}                 # of a worker process: what it has loaded, or why it could not


def _load(settings: Settings) -> None:
    """Begin a worker process. Nothing may be raised here: the pool would break, and say so in a traceback."""
    try:
        _here["recognizer"] = Recognizer(**asdict(settings))
    except AsrError as error:
        _here["error"] = error


def _do_here(job: Job) -> tuple[str, str]:
    """One job in a worker process -> its text, and what is the matter."""
    if "error" in _here:
        raise _here["error"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return do(_here["recognizer"], job)
    except AudioError as error:
        return "", str(error)
    except KeyboardInterrupt:
        return "", f"{job.recording}: stopped"
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
