"""The last word on a final: the n-best list scored by the bundle's GRU language model over words (asr/training/word_model.py).

A hypothesis costs what its words cost in context. Hypotheses of one list share most of their beginnings, and so contexts: all contexts of
one length are one batch, each is computed once.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.decoding.language_model import LanguageModel
from asr.decoding.lattice import Words
from asr.decoding.options import DecodingOptions

FILES = ("rescorer.onnx", "rescorer.words.txt")
BOUNDARY, UNKNOWN = 0, 1             # ids of the model: end of a sentence, which is also its start; words that it does not know
_LN10 = float(np.log(10))


class Rescorer:
    """A word model and the lexicon's words as it knows them. Loaded once, never changes. Raises BundleError."""

    def __init__(self, model: Path, words: Path, lexicon: np.ndarray, unigrams: np.ndarray, least: np.ndarray | None = None):
        """lexicon (W,) bytes; unigrams (W,) log10 chance of each: those that the model does not know share its unknown word's by them;
        least (W,) the least score of each anywhere (None: there is none).
        """
        from asr.inference import open_session

        self._session = open_session(model)
        known = {word: i for i, word in enumerate(words.read_bytes().split())}
        self._hidden = self._session.get_inputs()[0].shape[1]
        self._ids = np.array([known.get(word, UNKNOWN) for word in lexicon.tolist()], np.int64)        # (W,)
        self._least = np.full(len(lexicon), -np.inf) if least is None else least.astype(np.float64)
        unknown = self._ids == UNKNOWN
        sharing = unknown & np.isneginf(self._least)
        share = 10.0 ** unigrams[sharing].astype(np.float64)
        self._share = np.where(unknown, -np.inf, 0.0)                                                          # (W,) log10
        self._share[sharing] = np.log10(share / share.sum()) if len(share) else 0.0

    def scores(self, hypotheses: Sequence[tuple[int, ...]]) -> np.ndarray:
        """log10 P of each hypothesis, a tuple of lexicon words, sentence end included -> (N,)."""
        spelled = [(*self._ids[list(words)].tolist(), BOUNDARY) for words in hypotheses]
        totals = np.zeros(len(hypotheses))
        contexts, states = [()], np.zeros((1, self._hidden), np.float32)    # those of one length, and the states before their last word
        last = np.array([BOUNDARY])
        for length in range(max(map(len, spelled))):
            row_of = {context: row for row, context in enumerate(contexts)}
            going = [i for i, words in enumerate(spelled) if len(words) > length]
            questions = {(row_of[spelled[i][:length]], spelled[i][length]): None for i in going}
            number = {question: n for n, question in enumerate(questions)}
            rows, asked = (np.array(column, np.int64) for column in zip(*questions, strict=True))
            states, scores = self._session.run(None, {"state": states, "words": last, "row": rows, "asked": asked})
            for i in going:
                score = scores[number[row_of[spelled[i][:length]], spelled[i][length]]] / _LN10
                word = hypotheses[i][length] if length < len(hypotheses[i]) else None
                totals[i] += score if word is None else max(score + self._share[word], self._least[word])
            longer = dict.fromkeys(spelled[i][:length + 1] for i in going if len(spelled[i]) > length + 1)
            contexts = list(longer)
            if not contexts:
                break
            states = states[[row_of[context[:-1]] for context in contexts]]
            last = np.array([context[-1] for context in contexts], np.int64)
        return totals

    def choose(self, hypotheses: Sequence[tuple[float, Words]], language: LanguageModel, options: DecodingOptions) -> np.ndarray:
        """The search's hypotheses, (score, words) -> their new scores (N,), see Rescoring."""
        rescoring, contexts = options.rescoring, language.contexts()
        words = [tuple(word for word, _, _ in each) for _, each in hypotheses]
        found = np.array([score for score, _ in hypotheses])
        ngram = np.array([contexts.sentence_score(each) for each in words])
        return (found + rescoring.weight * self.scores(words) + (rescoring.ngram - options.lm_weight) * ngram
                + rescoring.word_score * np.array([len(each) for each in words]))
