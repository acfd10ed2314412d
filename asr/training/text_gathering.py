"""Text of public repositories made into NAME.txt, a sentence a line, as `asr language` and `asr rescorer` read it.

A sentence that shares six words in a row with a set that is held out is left out, and so is a whole document where three of its
sentences share nine: the set was read from it.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asr.errors import DataError
from asr.training.gathering import SPAN, spans
from asr.training.git_files import GitFiles
from asr.training.parallel import in_order
from asr.training.prose import sentences
from asr.training.texts import TextSource
from asr.training.unfinished import unfinished

COPIED = 4                           # runs of SPAN words that one sentence shares with a held-out set: nine words
COPIES = 3                           # sentences with so many, before a document goes


@dataclass
class GatheredText:
    """What a text holds, and how much was left out, by reason."""

    words: int = 0
    documents: int = 0
    left_out: Counter = field(default_factory=Counter)


def gather_text(name: str, source: TextSource, files: GitFiles, out: Path, held_out: set[tuple[str, ...]],
                progress: bool = True) -> GatheredText:
    """Make NAME.txt in the folder `out`. Raises DataError where it cannot be written, or where nothing is found."""
    made, path = GatheredText(), out / f"{name}.txt"

    def documents(entry: tuple[str, str]) -> list[list[str]] | None:
        content = files.read(entry[1])
        if content is None:
            return None
        try:
            return [[one for part in parts for one in sentences(part)] for parts in source.read(content.decode("utf-8", "replace"))]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{source.repository}: {entry[0]} is not written as {name} should be ({error})") from None

    with unfinished(path) as partial:
        with partial.open("w", encoding="utf-8") as file:
            for found in in_order(documents, files.files(source.pattern), f"reading {name}", 1, progress):
                if found is None:
                    made.left_out["files that are not there"] += 1
                for document in found or ():
                    shared = [sum(span in held_out for span in spans(sentence)) if held_out else 0 for sentence in document]
                    if sum(count >= COPIED for count in shared) >= COPIES:
                        made.left_out["documents that a held-out set was read from"] += 1
                        continue
                    kept = [sentence for sentence, count in zip(document, shared, strict=True) if not count]
                    made.left_out[f"sentences that share {SPAN} words with a held-out set"] += len(document) - len(kept)
                    made.documents += bool(kept)
                    made.words += sum(len(sentence.split()) for sentence in kept)
                    file.writelines(sentence + "\n" for sentence in kept)
        if not made.words:
            raise DataError(f"{source.repository}: no text in it of which {name} is made")
        os.replace(partial, path)
        made.left_out += Counter()                                        # without zeros
        return made
