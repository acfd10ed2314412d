"""The n-best lists of a batch for risk.py: what a bundle's beam search finds in the phones as they are now, and the reference.

The search is the one that recognises (asr/decoding), with all of the bundle's settings. A beam of 200 states takes three fifths of the
time of its 800, but loses the reference of 9 in 20 training utterances though it scores best, where the wide one loses 2. The word model
is left out: it has learned the training texts, and would be sure of them whatever is heard. All runs in numpy on this process's rows
alone, so a team shares the work.
"""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import edit_distance

from asr.bundle import load_bundle
from asr.decoding import make_decoder
from asr.decoding.beam import BeamDecoder
from asr.decoding.lexicon_trie import ROOT
from asr.decoding.rescoring import FILES as RESCORER
from asr.decoding.search import Search
from asr.errors import BundleError
from asr.training.risk import Hypotheses
from asr.units import BLANK_ID, PHONES

UNKNOWN = -1                         # stands for a word that the lexicon lacks: no hypothesis has it


class NBest:
    """Finds the lists: `count` hypotheses of each utterance, and its reference. Never changes. FILES are what it needs of a bundle."""

    FILES = ("lexicon.txt.gz", "language.binary")

    def __init__(self, decoder: BeamDecoder, count: int):
        self._decoder, self._count = decoder, count
        lexicon, options = decoder.lexicon, decoder.options
        self._first = np.unique(lexicon.word_of, return_index=True)[1]      # (W,) the first pronunciation of each word
        charges = np.zeros(len(PHONES), np.float32)
        if options.phone_prior:
            charges += options.prior_weight * np.array(options.phone_prior, np.float32)
        charges[BLANK_ID] += options.blank_penalty
        self._charges = torch.from_numpy(charges)

    @classmethod
    def open(cls, path: Path, count: int) -> "NBest":
        """With the decoder of a bundle, a folder or an .asr file. Raises BundleError, also for one without lexicon or n-gram."""
        bundle = load_bundle(path)
        if list(bundle.phones) != PHONES:
            raise BundleError(f"{path}: its phones are not those that training uses: take a bundle that this program exported")
        plain = dataclasses.replace(bundle, files=tuple(name for name in bundle.files if name not in RESCORER))
        return cls(make_decoder(plain), count)

    def find(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Hypotheses | None:
        """log_probs (T, N or more, V), frames (N or more,), N normal texts -> the lists of the first N rows.

        A row without words, or of which nothing fits into its frames, has none; None where no row has any.
        """
        scores, lengths = log_probs.detach()[:, :len(texts)].float().cpu().numpy(), frames.tolist()
        entries, words = [], 0
        for row, text in enumerate(texts):
            listed = self._list(scores[:lengths[row], row], text) if text else []
            entries += [(row, *entry) for entry in listed]
            words += len(text.split()) if listed else 0
        if not entries:
            return None
        rows, phones, errors, language, added = zip(*entries, strict=True)
        return Hypotheses(torch.tensor(rows), torch.tensor([unit for each in phones for unit in each], dtype=torch.long),
                          torch.tensor([len(each) for each in phones]), torch.tensor(errors, dtype=torch.float32),
                          torch.tensor(language, dtype=torch.float32), torch.tensor(added), self._charges, words)

    def _list(self, phones: np.ndarray, text: str) -> list[tuple[list[int], int, float, bool]]:
        """phones (T, V), the reference's text -> (label ids, word errors, language score, whether added) of each hypothesis. The reference
        is added, last, where it was not found; one with words that the lexicon lacks is not.
        """
        decoder, options = self._decoder, self._decoder.options
        search = Search(decoder.trie, decoder.language, options, with_ways=True)
        search.step(phones)
        heard = [[(word, decoder.trie.path(node)) for word, node, _ in words] for _, words in search.n_best(self._count)]
        reference, listed = self._ids(text), heard
        if UNKNOWN not in reference and reference not in [[word for word, _ in each] for each in heard]:
            said = dict(pair for each in reversed(heard) for pair in each)  # a word is said as where it was heard, best of all in the first
            listed = [*heard, [(word, said.get(word) or self._usual(word)) for word in reference]]
        contexts, entries = decoder.language.contexts(), []
        for place, each in enumerate(listed):
            words = [word for word, _ in each]
            labels = [unit for _, path in each for unit in (*path, int(decoder.trie.phone[ROOT]))]
            if _fits(labels, len(phones)):
                language = options.lm_weight * contexts.sentence_score(words) + options.word_score * len(words)
                entries.append((labels, edit_distance(words, reference), language, place >= len(heard)))
        return entries

    def _ids(self, text: str) -> list[int]:
        known, words = self._decoder.lexicon.words, np.array(text.encode().split())
        place = np.minimum(np.searchsorted(known, words), len(known) - 1)
        return np.where(known[place] == words, place, UNKNOWN).tolist()

    def _usual(self, word: int) -> list[int]:
        """The first pronunciation that the lexicon has of a word."""
        lexicon, entry = self._decoder.lexicon, self._first[word]
        return lexicon.phones[entry, :lexicon.lengths[entry]].tolist()


def _fits(labels: list[int], frames: int) -> bool:
    """Whether CTC has a path: a frame for each label, and a blank between equal neighbours."""
    return len(labels) + sum(a == b for a, b in pairwise(labels)) <= frames
