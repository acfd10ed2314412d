"""Public corpora in the layout they are downloaded in, read as utterances (manifests.py), and one entrance for every layout.

    LibriSpeech     any folder with SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt in it, the FLAC files beside each
    Common Voice    LANGUAGE/ with clips/*.mp3 and validated.tsv (or train.tsv, ...); name the TSV itself to take another than validated

Texts stay as the corpus has them.
"""

import os
from pathlib import Path

from asr.errors import DataError
from asr.training.manifests import Location, Utterance, read_set, read_table

COMMON_VOICE_SPLITS = ("validated.tsv", "train.tsv")


def read_corpus(path: str | os.PathLike) -> list[Utterance]:
    """The utterances of a corpus in one of the layouts above, or of a set (manifests.read_set).

    Raises DataError, naming file and line where there is one.
    """
    path = Path(path)
    if _is_common_voice(path):
        return read_common_voice(path)
    if path.is_dir() and next(path.rglob("*.trans.txt"), None):
        return read_librispeech(path)
    return read_set(path)


def read_librispeech(folder: str | os.PathLike) -> list[Utterance]:
    """LibriSpeech, or a part of it: every utterance of every *.trans.txt below the folder, in order of their paths."""
    utterances = []
    for transcript in sorted(Path(folder).rglob("*.trans.txt")):
        for number, line in enumerate(_text(transcript).splitlines(), start=1):
            where = f"{transcript}:{number}"
            name, _, text = line.partition(" ")
            if not text.strip():
                raise DataError(f"{where}: expected an utterance and its text with a space between, found {line[:80]!r}")
            audio = transcript.parent / f"{name}.flac"
            utterances.append(Utterance(name, name.split("-")[0], None, text.strip(), "human", None, _whole_file(audio, where)))
    if not utterances:
        raise DataError(f"{folder}: no *.trans.txt with utterances below it; expected the layout of LibriSpeech")
    return utterances


def read_common_voice(path: str | os.PathLike) -> list[Utterance]:
    """Common Voice: a language's folder (validated.tsv, or train.tsv where that is missing) or one of its TSV files.

    Durations come from clip_durations.tsv where the release has it.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in COMMON_VOICE_SPLITS if (path / name).is_file()]
        if not found:
            raise DataError(f"{path}: none of {', '.join(COMMON_VOICE_SPLITS)} in it; name the TSV to read")
        path = found[0]
    seconds = _clip_seconds(path.with_name("clip_durations.tsv"))
    utterances = []
    for line, row in read_table(path, ("client_id", "path", "sentence")):
        where, clip, text = f"{path}:{line}", row["path"], row["sentence"].strip()
        if not text:
            raise DataError(f"{where}: clip {clip} has an empty sentence; delete the row")
        location = _whole_file(path.parent / "clips" / clip, where)
        utterances.append(Utterance(Path(clip).stem, row["client_id"], seconds.get(clip), text, "human", None, location))
    if not utterances:
        raise DataError(f"{path}: no clips in it, only a header")
    return utterances


def _is_common_voice(path: Path) -> bool:
    if path.is_dir():
        return (path / "clips").is_dir() and any((path / name).is_file() for name in COMMON_VOICE_SPLITS)
    if not (path.is_file() and path.suffix == ".tsv"):
        return False
    with open(path, "rb") as file:
        return {b"client_id", b"path", b"sentence"} <= set(file.readline().rstrip().split(b"\t"))


def _clip_seconds(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    found = {}
    for line, row in read_table(path, ("clip", "duration[ms]")):
        try:
            found[row["clip"]] = float(row["duration[ms]"]) / 1000
        except ValueError:
            raise DataError(f"{path}:{line}: duration is {row['duration[ms]']!r}, expected milliseconds") from None
    return found


def _whole_file(path: Path, where: str) -> Location:
    try:
        return Location(str(path), 0, path.stat().st_size)
    except OSError as error:
        raise DataError(f"{where}: its audio {path} cannot be read: {error.strerror}; add it or delete the line") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8") from None
