"""Speech of public repositories made into sets: NAME.tar of Opus files and NAME.tsv, as `asr train` reads them.

What is too short, too long, or too fast or slow for its text is left out, and so is a text that shares six words in a row with a
set that is named as held out. A teacher's labels are kept as they come: a run that was stopped goes on with them.
"""

import io
import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr.config import RATE_HZ
from asr.errors import AudioError, DataError
from asr.files import write_whole
from asr.text import normalise
from asr.training.audio_store import FULL_SCALE, decode, encode
from asr.training.git_files import GitFiles
from asr.training.labels import Labels
from asr.training.manifests import COLUMNS
from asr.training.parallel import in_order
from asr.training.sources import Found, Source
from asr.training.unfinished import unfinished

SECONDS = (0.8, 30.0)
LETTERS_S = (3.0, 30.0)              # letters a second; the lower limit counts from two seconds on
SPAN = 6                             # words in a row that are not chance
LEAST_SCORE = -0.4                   # of a teacher's label
LABELS = ("utterance", "score", "text")

Teacher = Callable[[np.ndarray], tuple[str, float]]


@dataclass
class Gathered:
    """What a set holds, and how many utterances were left out, by reason."""

    utterances: int = 0
    seconds: float = 0.0
    speakers: set[str] = field(default_factory=set)
    left_out: Counter = field(default_factory=Counter)


@dataclass(frozen=True)
class _Made:
    """An utterance ready to be written, or why it is not."""

    opus: bytes = b""
    seconds: float = 0.0
    text: str = ""
    score: float | None = None
    left_out: str = ""


def spans_of(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """All runs of SPAN words in these texts."""
    return {span for text in texts for span in spans(text)}


def gather(name: str, source: Source, files: GitFiles, out: Path, held_out: set[tuple[str, ...]], teacher: Teacher | None = None,
           threads: int = 2, progress: bool = True) -> Gathered:
    """Make the set `name` in the folder `out`. Raises DataError where it cannot be written, or where speech has no text and no teacher."""
    labels_path, tar_path, table_path = (out / f"{name}{suffix}" for suffix in (".labels.tsv", ".tar", ".tsv"))
    with unfinished(tar_path) as partial:
        labels = Labels(labels_path, LABELS)
        found = list({one.id: one for one in source.read(files)}.values())
        if not found:
            raise DataError(f"{source.repository}: none of the audio that {name} is made of is in it")
        if teacher is None and any(one.text is None and one.id not in labels.rows for one in found):
            raise DataError(f"{name}: nobody has written down what is said in it; let a teacher listen: --teacher and --tokenizer")

        def make(one: Found) -> _Made:
            label = labels.rows.get(one.id)
            return _made(one, files, held_out, (label["text"], float(label["score"])) if label else None, teacher)

        made, rows = Gathered(), []
        with tarfile.open(partial, "w") as tar:
            for one, result in zip(found, in_order(make, found, f"making {name}", threads, progress), strict=True):
                if result.score is not None and one.id not in labels.rows:
                    labels.add(one.id, f"{result.score:.4f}", result.text)
                if result.left_out:
                    made.left_out[result.left_out] += 1
                    continue
                member = tarfile.TarInfo(f"{one.id}.opus")
                member.size = len(result.opus)
                tar.addfile(member, io.BytesIO(result.opus))
                kind, score = ("human", "") if result.score is None else ("teacher", f"{result.score:.4f}")
                rows.append((one.id, one.speaker, f"{result.seconds:.2f}", f"{source.what}, {source.licence}", kind, score, result.text))
                made.utterances += 1
                made.seconds += result.seconds
                made.speakers |= {one.speaker} - {""}
        if not rows:
            raise DataError(f"{source.repository}: nothing in it can be used: "
                            + ", ".join(f"{count} {reason}" for reason, count in made.left_out.items()))
        os.replace(partial, tar_path)
        write_whole(table_path, "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows)))
        return made


def _made(one: Found, files: GitFiles, held_out: set, label: tuple[str, float] | None, teacher: Teacher | None) -> _Made:
    content = files.read(one.blob)
    if content is None:
        return _Made(left_out="audio that is not there")
    try:
        samples = decode(content).astype(np.float32) / FULL_SCALE
    except AudioError:
        return _Made(left_out="audio that cannot be decoded")
    seconds = len(samples) / RATE_HZ
    if not SECONDS[0] < seconds < SECONDS[1]:
        return _Made(left_out=f"not between {SECONDS[0]} and {SECONDS[1]:g} s")
    text, score = one.text, None
    if text is None:
        text, score = label or teacher(samples)
    text = re.sub(r"\s+", " ", text).strip()
    reason = _unfit(text, score, seconds, held_out)
    if reason:
        return _Made(text=text, score=score, left_out=reason)
    return _Made(encode(samples), seconds, text, score)


def _unfit(text: str, score: float | None, seconds: float, held_out: set) -> str:
    letters_s = len(text) / seconds
    if not normalise(text):
        return "without words"
    if score is not None and score < LEAST_SCORE:
        return f"labels that the teacher scores below {LEAST_SCORE}"
    if letters_s > LETTERS_S[1] or (seconds > 2 and letters_s < LETTERS_S[0]):
        return "too fast or too slow for their texts"
    if held_out.intersection(spans(text)):
        return "texts of a set that is held out"
    return ""


def spans(text: str) -> Iterable[tuple[str, ...]]:
    """All runs of SPAN words in a text, each as often as it stands there."""
    words = normalise(text).split()
    return zip(*(words[start:] for start in range(SPAN)), strict=False)
