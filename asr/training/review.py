"""Training utterances whose text is not what is said: found where a model and a teacher both contradict it, put right or left out.

The model hears all of a set. Where it has many of a text's words otherwise, it is the teacher's turn; who agrees with the text saves it.
Where neither does, the teacher's words take its place if the teacher is sure and the model nearer to them than to the text, and else the
utterance goes. The audio is copied as it is. What was heard is kept as it comes, so a run that was stopped goes on.
"""

import io
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr.errors import AudioError
from asr.files import write_whole
from asr.text import normalise
from asr.training.audio_store import FULL_SCALE, decode
from asr.training.labels import Labels
from asr.training.manifests import COLUMNS, Utterance, read_encoded
from asr.training.parallel import in_order
from asr.training.synthesis import word_errors
from asr.training.unfinished import unfinished

DOUBTED = 0.5                        # part of the words that the model has otherwise, above which the teacher is asked
SAVED = 0.3                          # part of the words that the teacher may have otherwise
SURE = -0.2                          # the teacher's score above which its words may take a text's place

KEPT, RELABELLED, DROPPED = "kept", "given the teacher's text", "dropped"

Hear = Callable[[Sequence[Utterance]], Iterator[str]]
Teacher = Callable[[np.ndarray], tuple[str, float]]


@dataclass
class Reviewed:
    """How many utterances had which fate, and of those that were not kept: (id, text, the model's, the teacher's)."""

    fates: Counter = field(default_factory=Counter)
    contradicted: list[tuple[str, str, str, str]] = field(default_factory=list)


def fate(text: str, heard: str, taught: tuple[str, float] | None) -> str:
    """KEPT, RELABELLED or DROPPED; `heard` is the model's text, `taught` the teacher's with its score, None where it was not asked."""
    if taught is None or word_errors(text, taught[0]) <= SAVED:
        return KEPT
    agrees = taught[1] >= SURE and normalise(taught[0]) and word_errors(taught[0], heard) < word_errors(text, heard)
    return RELABELLED if agrees else DROPPED


def review(name: str, utterances: Sequence[Utterance], out: Path, hear: Hear, teacher: Teacher, threads: int = 2,
           progress: bool = True) -> Reviewed:
    """Write NAME.tar and NAME.tsv into the folder `out`: the utterances of a set, with texts that were not contradicted.

    `hear` gives the model's texts, one after another. Raises DataError where the folder cannot be written.
    """
    heard_path, taught_path, tar_path = (out / f"{name}{suffix}" for suffix in (".heard.tsv", ".taught.tsv", ".tar"))
    with unfinished(tar_path) as partial:
        heard, taught = Labels(heard_path, ("utterance", "text")), Labels(taught_path, ("utterance", "score", "text"))
        unheard = [one for one in utterances if one.id not in heard.rows]
        for one, text in zip(unheard, hear(unheard), strict=True):
            heard.add(one.id, text)
        doubted = {one.id for one in utterances if word_errors(one.text, heard.rows[one.id]["text"]) > DOUBTED}
        untaught = [one for one in utterances if one.id in doubted and one.id not in taught.rows]
        for one, (text, score) in zip(untaught, in_order(lambda one: _ask(teacher, one), untaught, f"teacher: {name}", threads, progress),
                                      strict=True):
            taught.add(one.id, f"{score:.4f}", " ".join(text.split()))
        reviewed, rows = Reviewed(), []
        with tarfile.open(partial, "w") as tar:
            for one in utterances:
                label = taught.rows.get(one.id) if one.id in doubted else None
                texts = heard.rows[one.id]["text"], (label["text"], float(label["score"])) if label else None
                verdict = fate(one.text, *texts)
                reviewed.fates[verdict] += 1
                if verdict != KEPT:
                    reviewed.contradicted.append((one.id, one.text, texts[0], texts[1][0]))
                if verdict == DROPPED:
                    continue
                content = read_encoded(one.location)
                member = tarfile.TarInfo(f"{one.id}.audio")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                kind, score, text = (one.label, one.score, one.text) if verdict == KEPT else ("teacher", texts[1][1], texts[1][0])
                rows.append((one.id, one.speaker, "" if one.seconds is None else f"{one.seconds:.2f}", name, kind,
                             "" if score is None else f"{score:.4f}", text))
        os.replace(partial, tar_path)
        write_whole(out / f"{name}.tsv", "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows)))
        return reviewed


def _ask(teacher: Teacher, one: Utterance) -> tuple[str, float]:
    samples = samples_of(one)
    return teacher(samples) if len(samples) else ("", 0.0)


def samples_of(one: Utterance) -> np.ndarray:
    """float32 (n,) at 16 kHz; none where the audio cannot be decoded, which nobody hears words in."""
    try:
        return decode(read_encoded(one.location)).astype(np.float32) / FULL_SCALE
    except AudioError:
        return np.zeros(0, np.float32)
