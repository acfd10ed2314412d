"""Texts to label ids for both heads, remembered per text, and back."""

import functools
from collections.abc import Iterable, Sequence

import torch

from asr.text import normalise
from asr.training.discriminative import PhoneGrammar
from asr.training.losses import Targets
from asr.training.manifests import Utterance
from asr.training.pieces import PieceModel
from asr.training.pronounce import Pronouncer
from asr.units import PHONES, WORD_END, phone_units


class TrainingUnits:
    """The units of a run: `phones` and `pieces` as lists with the blank first, and `piece_model`, the sentencepiece model's bytes."""

    def __init__(self, piece_model: bytes):
        self.piece_model = piece_model
        self._pieces = PieceModel(piece_model)
        self.phones, self.pieces = list(PHONES), list(self._pieces.units.units)
        self._phone_units, self._pronouncer = phone_units(), Pronouncer()

    @classmethod
    def trained_on(cls, texts: Iterable[str], pieces: int) -> "TrainingUnits":
        """Word pieces (`pieces` with the blank) chosen for these texts."""
        return cls(PieceModel.train([normalise(text) for text in texts], pieces).content)

    def targets(self, texts: Sequence[str]) -> Targets:
        """Label ids of texts as their corpora have them; an empty text gives none."""
        return Targets.of([self._phone_ids(text) for text in texts], [self._piece_ids(text) for text in texts])

    def grammar(self, texts: Iterable[str]) -> PhoneGrammar:
        """The trigram of the phones of texts."""
        return PhoneGrammar.counted((self._phone_ids(text) for text in texts), len(self.phones))

    def normal(self, texts: Sequence[str]) -> list[str]:
        """The texts as the model spells them."""
        return [normalise(text) for text in texts]

    def words_of(self, piece_ids: Sequence[int]) -> str:
        """Text of piece ids."""
        return self._pieces.units.text(piece_ids)

    def needed_frames(self, utterance: Utterance) -> int:
        """Output frames that CTC needs for this text: its labels, and a blank between equal neighbours."""
        return max(_needed(self._phone_ids(utterance.text)), _needed(self._piece_ids(utterance.text)))

    @functools.lru_cache(maxsize=200_000)
    def _phone_ids(self, text: str) -> list[int]:
        phones = [p for word in normalise(text).split() for p in (*self._pronouncer.pronounce(word)[0], WORD_END)]
        return self._phone_units.ids(phones)

    @functools.lru_cache(maxsize=200_000)
    def _piece_ids(self, text: str) -> list[int]:
        return self._pieces.encode(normalise(text))


def _needed(ids: list[int]) -> int:
    labels = torch.tensor(ids)
    return len(ids) + int((labels[1:] == labels[:-1]).sum())
