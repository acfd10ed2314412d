"""Openly licensed speech in public git repositories, and how each of them keeps its audio and its words."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from asr.training.git_files import GitFiles


@dataclass(frozen=True)
class Found:
    """One utterance in a repository: who speaks ("" where that is not told), the audio's blob, the text (None: a teacher has to listen)."""

    id: str
    speaker: str
    blob: str
    text: str | None


@dataclass(frozen=True)
class Source:
    """A set that can be made: where it comes from, what it is under which licence, and the reader of its files."""

    repository: str                  # on GitHub, OWNER/NAME
    what: str
    licence: str
    read: Callable[[GitFiles], Iterator[Found]]
    ref: str = "HEAD"

    @property
    def url(self) -> str:
        """Where git fetches it."""
        return f"https://github.com/{self.repository}"


def common_voice_1(files: GitFiles) -> Iterator[Found]:
    """The validated development part of the first release; a clip with more votes against than for it is left out."""
    rows = {PurePosixPath(row["filename"]).name: row for row in csv.DictReader(io.StringIO(files.text("asr/cv-valid-dev.csv")))}
    for path, blob in files.files(r"^asr/cv-valid-dev/.+\.mp3$"):
        row = rows.get(PurePosixPath(path).name)
        if row and int(row["down_votes"]) <= int(row["up_votes"]):
            yield Found(f"cv1-{PurePosixPath(path).stem}", "", blob, row["text"])


def common_voice_13(files: GitFiles) -> Iterator[Found]:
    """The clips of a delta whose sentences the repository lacks; those that it has make a development and a test set elsewhere."""
    told = {row["path"] for name in ("validated", "invalidated")
            for row in csv.DictReader(io.StringIO(files.text(f"dataset/{name}.tsv")), delimiter="\t", quoting=csv.QUOTE_NONE)}
    for path, blob in files.files(r"\.mp3$"):
        name = PurePosixPath(path)
        if name.name not in told:
            yield Found(name.stem, "", blob, None)


def kathleen(files: GitFiles) -> Iterator[Found]:
    """A text file beside each recording."""
    texts = dict(files.files(r"^data/.+\.txt$"))
    for path, blob in files.files(r"^data/.+\.wav$"):
        if text := texts.get(f"{path[:-4]}.txt"):
            yield Found(PurePosixPath(path).stem, "kathleen", blob, (files.read(text) or b"").decode("utf-8", "replace"))


def librispeech(folder: str) -> Callable[[GitFiles], Iterator[Found]]:
    """A reader of LibriSpeech's FLAC files below a folder; those without a line in a *.trans.txt have no text."""
    def read(files: GitFiles) -> Iterator[Found]:
        lines = [line for _, blob in files.files(rf"^{folder}.*\.trans\.txt$")
                 for line in (files.read(blob) or b"").decode("utf-8", "replace").splitlines()]
        texts = dict(line.split(" ", 1) for line in lines if " " in line)
        for path, blob in files.files(rf"^{folder}(.*/)?\d+-\d+-\d+\.flac$"):
            name = PurePosixPath(path).stem
            yield Found(name, name.split("-")[0], blob, texts.get(name))
    return read


def an4(files: GitFiles) -> Iterator[Found]:
    """The training part of CMU AN4."""
    texts = {name: text for text, name in re.findall(r"<s> (.+) </s> \((\S+)\)", files.text("an4/etc/an4_train.transcription"))}
    for path, blob in files.files(r"^an4/wav/an4_clstk/.+\.sph$"):
        name = PurePosixPath(path).stem
        if name in texts:
            yield Found(name, f"an4-{name.split('-')[1]}", blob, texts[name])


def phone_prompts(files: GitFiles) -> Iterator[Found]:
    """Prompts of three words and more, but those with digits and stage directions."""
    texts = {}
    for table in ("en/extra-sounds-en.txt", "en/core-sounds-en.txt"):
        for line in files.text(table).splitlines():
            name, _, text = line.partition(":")
            if text and not re.search(r"[\[\];(\d]", line):
                texts[name.strip().removesuffix(".wav")] = text.strip()
    for path, blob in files.files(r"^en/.+\.wav$"):
        text = texts.get(path[3:-4], "")
        if len(text.split()) >= 3:
            yield Found(f"prompt-{path[3:-4].replace('/', '-')}", "allison", blob, text)


_LIBRI, _BY = "LibriSpeech train-clean-100", "CC BY 4.0"
SOURCES = {                          # set -> where it comes from
    "train-cv1": Source("hys89/myrepo", "Common Voice 1, validated development part", "CC0", common_voice_1),
    "train-cv-teacher": Source("korliu/whisper", "Common Voice 13 delta, clips without a sentence", "CC0", common_voice_13),
    "train-kathleen": Source("rhasspy/dataset-voice-kathleen", "Kathleen, one studio voice", "CC0", kathleen),
    "train-libri-3": Source("Walleclipse/Deep_Speaker-speaker_recognition_system", f"{_LIBRI}, three speakers", _BY,
                            librispeech(".*LibriSpeechSamples/train-clean-100/")),
    "train-libri-4": Source("Jenny-Smolensky/LibriSpeechFilesParser", f"{_LIBRI}, four speakers", _BY,
                            librispeech("sample_data_libriSpeech/audio/")),
    "train-libri-1": Source("dongim04/stuttered-speech-asr", f"{_LIBRI}, speaker 8975", _BY, librispeech("270782/"), "refs/pull/2/head"),
    "train-libri-2": Source("kkulesz/Voice_conversion_with_CycleGAN-VC2", f"{_LIBRI}, speakers 40 and 78", _BY,
                            librispeech("data/LibriSpeech/(training|evaluation)/")),
    "train-an4": Source("adagioNeo/VoiceInterpreter", "CMU AN4, training part", "BSD-like", an4),
    "train-prompts": Source("wehup/asterisk-sounds", "Asterisk's telephone prompts, one voice", "CC BY-SA 3.0", phone_prompts),
}
