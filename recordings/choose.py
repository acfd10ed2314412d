"""Make recordings.tsv, its clips and sample.flac from the development sets: python recordings/choose.py SPEECH_FOLDER

The choice is a list, so it is the same each time: clear sentences of twelve speakers, none of them in a training set. Clips are
copied as they are stored; sample.flac joins the first ones with pauses, for captions on a machine without a microphone.
"""

import csv
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).parent
RATE_HZ = 16_000
PAUSE_S = 1.2                        # long enough for an endpoint, so that the sample shows finished captions
JOINED = 6                           # clips in sample.flac
LICENCES = {"dev-libri": "CC BY 4.0", "dev-cv": "CC0 1.0", "dev-l2": "CC BY 4.0"}
CHOICE = (
    ("dev-libri", "2803-154320-0005"),
    ("dev-cv", "common_voice_en_37194303"),
    ("dev-libri", "777-126732-0006"),
    ("dev-cv", "common_voice_en_37060945"),
    ("dev-libri", "2428-83699-0002"),
    ("dev-cv", "common_voice_en_37197833"),
    ("dev-libri", "2078-142845-0011"),
    ("dev-cv", "common_voice_en_37221073"),
    ("dev-libri", "2277-149874-0004"),
    ("dev-cv", "common_voice_en_37158971"),
    ("dev-l2", "021160027"),
    ("dev-l2", "024480016"),
)


def main(speech: Path) -> None:
    """Write the clips, their TSV and the joined sample beside this file."""
    rows, joined = [], []
    for name, utterance in CHOICE:
        encoded = read_member(speech / f"{name}.tar", f"{utterance}.opus")
        (HERE / f"{utterance}.opus").write_bytes(encoded)
        manifest = read_row(speech / f"{name}.tsv", utterance)
        rows.append([utterance, f"{utterance}.opus", manifest["speaker"], manifest["seconds"], manifest["source"],
                     LICENCES[name], manifest["text"]])
        if len(joined) < 2 * JOINED:
            samples, _ = soundfile.read(io.BytesIO(encoded), dtype="float32")            # (n,)
            joined += [samples, np.zeros(int(PAUSE_S * RATE_HZ), np.float32)]
    lines = ["\t".join(row) for row in [["utterance", "file", "speaker", "seconds", "source", "licence", "text"], *rows]]
    (HERE / "recordings.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    soundfile.write(HERE / "sample.flac", np.concatenate(joined), RATE_HZ, subtype="PCM_16")


def read_member(shard: Path, member: str) -> bytes:
    """The bytes of one file of a tar."""
    with tarfile.open(shard) as tar:
        return tar.extractfile(member).read()


def read_row(manifest: Path, utterance: str) -> dict[str, str]:
    """The manifest's row of one utterance."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return next(row for row in rows if row["utterance"] == utterance)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
