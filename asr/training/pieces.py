"""Word pieces: a sentencepiece unigram model over normal text (asr/text.py), with the blank as id 0.

The units are `<blank>`, then sentencepiece's pieces in its order: sentencepiece's own id 0 is its unknown token, which takes the
blank's place, so its ids are the unit ids. The 26 letters, the apostrophe and `▁` are pieces by force: every normal text is encodable.

    python -m asr.training.pieces FOLDER TEXT...      # TSV manifests or plain text; writes pieces.model, pieces.txt, phones.txt
"""

import io
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from asr.errors import DataError, MissingExtraError
from asr.text import normalise
from asr.units import BLANK, Units, phone_units

ALPHABET = "abcdefghijklmnopqrstuvwxyz'"
NUM_PIECES = 500                     # the blank included
TRAINING_SENTENCES = 200_000         # more of them are drawn from, not read whole


class PieceModel:
    """Encodes normal text as piece ids and back. `content` is the sentencepiece model's bytes.

    Raises DataError for bytes that are no such model, MissingExtraError without sentencepiece.
    """

    def __init__(self, content: bytes, where: str = "piece model"):
        self.content = content
        try:
            self._processor = _sentencepiece().SentencePieceProcessor(model_proto=content)
        except RuntimeError as error:
            raise DataError(f"{where}: is no sentencepiece model; make one with asr.training.pieces") from error

    @classmethod
    def train(cls, texts: Iterable[str], num_pieces: int = NUM_PIECES) -> "PieceModel":
        """A model of `num_pieces` units (blank included) for normal texts; the same texts give the same model.

        Raises DataError where the texts are too few or too poor for that many pieces.
        """
        texts = [text for text in texts if text]
        # Each letter once with and once without a word start, so that all of them are pieces whatever the texts hold.
        texts += [f"{ALPHABET} {' '.join(ALPHABET)}"]
        content = io.BytesIO()
        try:
            _sentencepiece().SentencePieceTrainer.train(
                sentence_iterator=iter(texts), model_writer=content, model_type="unigram", vocab_size=num_pieces,
                character_coverage=1.0, normalization_rule_name="identity", required_chars=ALPHABET, unk_id=0, unk_piece=BLANK,
                bos_id=-1, eos_id=-1, pad_id=-1, input_sentence_size=TRAINING_SENTENCES, shuffle_input_sentence=True,
                max_sentence_length=20_000, num_threads=1, minloglevel=2)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise DataError(f"{len(texts) - 1} texts do not give {num_pieces} word pieces ({reason}); ask for fewer") from error
        return cls(content.getvalue())

    @classmethod
    def read(cls, path: str | Path) -> "PieceModel":
        """The model of a file. Raises DataError."""
        try:
            return cls(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    @cached_property
    def units(self) -> Units:
        """The blank and the pieces, by id."""
        return Units([self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size())], "piece model")

    def encode(self, text: str, alpha: float | None = None) -> list[int]:
        """Piece ids of a normal text: the likeliest segmentation p, or with `alpha` one drawn with probability ~ p^alpha.

        Drawing is subword regularisation: 0.1 mixes strongly, 1 little. Raises DataError for text that is not normal.
        """
        if alpha is None:
            ids = self._processor.encode(text)
        else:
            ids = self._processor.encode(text, enable_sampling=True, alpha=alpha, nbest_size=-1)
        if 0 in ids:
            raise DataError(f"{text!r} has characters that are no word pieces; normalise it first")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of piece ids; blanks are skipped."""
        return self.units.text(ids)

    def write(self, folder: str | Path) -> None:
        """Writes pieces.model and pieces.txt into `folder`, and phones.txt beside them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pieces.model").write_bytes(self.content)
        self.units.write(folder / "pieces.txt")
        phone_units().write(folder / "phones.txt")


def read_texts(path: str | Path) -> list[str]:
    """Normal texts of a manifest (the `text` column of a .tsv) or of a text file (a sentence a line). Raises DataError."""
    path = Path(path)
    if path.suffix == ".tsv":
        from asr.training.manifests import read_table
        return [normalise(row["text"]) for _, row in read_table(path, ("text",))]
    try:
        with path.open(encoding="utf-8") as file:
            return [normalise(line) for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _sentencepiece():
    try:
        import sentencepiece
    except ImportError:
        raise MissingExtraError("sentencepiece", "train") from None
    return sentencepiece


if __name__ == "__main__":
    PieceModel.train(text for path in sys.argv[2:] for text in read_texts(path)).write(sys.argv[1])
