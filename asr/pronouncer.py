"""Letters to phones: how a word that no dictionary has is probably said. Needs no torch and no dictionary.

The network is `pronouncer.onnx` beside this file, trained by `asr pronouncer` (asr/training/pronouncer_model.py) and written by
export/pronouncer.py, which says what goes in and out. This module searches for the likeliest phones. It knows no rules and no exceptions:
asr/training/pronounce.py asks a dictionary and the rules of English first.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.errors import BundleError
from asr.units import SPOKEN_PHONES

MODEL_FILE = Path(__file__).with_name("pronouncer.onnx")
LETTERS = "'abcdefghijklmnopqrstuvwxyz"      # in the order of their ids
END = 0                              # id of a pronunciation's end, which also stands for its start
PHONES = ("<end>", *SPOKEN_PHONES)   # in the order of their ids
BEAM = 4                             # hypotheses of a word
BATCH = 128                          # words of one length searched at once
Guesses = list[tuple[float, tuple[str, ...]]]


class LetterToSound:
    """A trained network, ready to pronounce. Loaded once, never changes. Raises BundleError for a file that is none.

    `path`: a pronouncer.onnx; None is the one that comes with the program.
    """

    def __init__(self, path: Path | None = None):
        from onnxruntime import RunOptions

        from asr.inference import open_session

        path = path or MODEL_FILE
        self._session = open_session(path)
        told = self._session.get_modelmeta().custom_metadata_map
        if told.get("letters") != LETTERS or told.get("phones") != " ".join(PHONES):
            raise BundleError(f"{path}: no pronouncer, or one with other letters or phones than this program's: train it again")
        self._half = RunOptions()                                           # one file has both halves, encoder and step
        self._half.only_execute_path_to_fetches = True
        keys, memory, state = (next(i for i in self._session.get_inputs() if i.name == name).shape for name in ("keys", "memory", "state"))
        self._nothing = {
            "letters": np.zeros((1, 1), np.int64), "step": np.zeros((), np.int64), "phones": np.zeros((1, 1), np.int64),
            "keys": np.zeros((1, keys[1], 1), np.float32), "memory": np.zeros((1, 1, memory[2]), np.float32),
            "state": np.zeros((1, 1, state[2]), np.float32),
        }

    def pronounce(self, word: str, limit: int = 1) -> Guesses:
        """The `limit` likeliest pronunciations with the natural logarithms of their probabilities, best first.

        Other characters than a-z (of either case) and the apostrophe are skipped; a word with none of a-z gives []. No pronunciation
        is empty.
        """
        return self.pronounce_all([word], limit)[0]

    def pronounce_all(self, words: Sequence[str], limit: int = 1) -> list[Guesses]:
        """`pronounce` for many words, several times as quick a word as one by one."""
        spelled = [_spelled(word) for word in words]
        by_length: dict[int, list[int]] = {}
        for i, letters in enumerate(spelled):
            by_length.setdefault(len(letters), []).append(i)
        by_length.pop(0, None)
        found: list[Guesses] = [[] for _ in words]
        for places in by_length.values():
            for start in range(0, len(places), BATCH):
                batch = places[start:start + BATCH]
                for i, guesses in zip(batch, self._search(np.array([spelled[i] for i in batch], np.int64), limit)):
                    found[i] = guesses
        return found

    def _search(self, letters: np.ndarray, limit: int) -> list[Guesses]:
        """letters (W, T) -> the `limit` best pronunciations of each word, by a beam of K hypotheses a word."""
        W, T = letters.shape
        K, longest = max(BEAM, limit), 3 * T + 8
        keys, memory, start = self._session.run(["new_keys", "new_memory", "start"], self._nothing | {"letters": letters}, self._half)
        state = np.repeat(start[:, None], K, axis=1)                        # (W, K, D)
        live, said = np.full((W, K), -np.inf), np.full((W, K, longest), END)
        live[:, 0] = 0.0
        done, done_said = np.full((W, limit), -np.inf), np.full((W, limit, longest), END)
        for step in range(longest):
            phones = said[:, :, step - 1] if step else np.full((W, K), END)
            inputs = {"keys": keys, "memory": memory, "state": state, "phones": phones, "step": np.array(step)}
            log_probs, state = self._session.run(["log_probs", "next_state"], self._nothing | inputs, self._half)
            totals = live[:, :, None] + log_probs                           # (W, K, P)
            if step:
                pool, pool_said = np.concatenate([done, totals[:, :, END]], 1), np.concatenate([done_said, said], 1)
                best = np.argsort(-pool, axis=1, kind="stable")[:, :limit]
                done, done_said = np.take_along_axis(pool, best, 1), np.take_along_axis(pool_said, best[:, :, None], 1)
            totals[:, :, END] = -np.inf
            flat = totals.reshape(W, -1)
            best = np.argsort(-flat, axis=1, kind="stable")[:, :K]
            live, parent = np.take_along_axis(flat, best, 1), best // len(PHONES)
            if (live[:, 0] <= done[:, -1]).all():                           # nothing that goes on can still get better
                break
            said = np.take_along_axis(said, parent[:, :, None], 1)
            said[:, :, step] = best % len(PHONES)
            state = np.take_along_axis(state, parent[:, :, None], 1)
        return [[(float(score), tuple(PHONES[i] for i in ids if i != END)) for score, ids in zip(scores, each) if score > -np.inf]
                for scores, each in zip(done, done_said)]


def _spelled(word: str) -> list[int]:
    """Ids of the letters and apostrophes; none where there is no letter."""
    ids = [LETTERS.index(letter) for letter in word.lower() if letter in LETTERS]
    return ids if any(ids) else []                                          # the apostrophe is 0
