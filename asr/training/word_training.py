"""Train the word model: its folder, its data, its loop.

The folder of a run holds words.txt (the vocabulary, an id a line), ids.npy (the text as numbers), last.pt (everything to go on from) and
history.jsonl (a line for each look at the references). Text is read once; a run that goes on reads none.

Each of N streams reads its own stretch of the text in order, so that the state carries over from sentence to sentence, as it can in live
captions; some streams begin from nothing at each step, as every recording does.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from asr.decoding.rescoring import BOUNDARY, UNKNOWN
from asr.errors import CheckpointError, DataError
from asr.files import write_whole
from asr.training.checkpoint import fetch, store
from asr.training.language import Corpus, reference_stream
from asr.training.ngrams import BOUNDARY as TEXT_BOUNDARY
from asr.training.optimisation import OptimisationConfig, make_optimiser, take_step
from asr.training.word_model import WordModel, WordModelConfig, sampled_loss

FORMAT = 1
SAVE_EVERY_S, LOOK_EVERY_S = 600.0, 600.0
SPECIAL = ["</s>", "<unk>"]          # ids BOUNDARY and UNKNOWN


@dataclass(frozen=True)
class WordTrainingConfig:
    """Choices of a run."""

    passes: float = 1.0              # over the text
    streams: int = 256
    span: int = 32                   # words a step, each stream
    sampled: int = 1024              # words a step that the softmax's sum is estimated from
    flatten: float = 0.75            # words are sampled by their frequency to this power
    sum_weight: float = 0.2          # of the penalty on the sum's logarithm
    forget: float = 0.15             # chance that a stream begins a step from nothing
    peak_rate: float = 3e-3
    warmup_steps: int = 300
    clip_norm: float = 1.0
    weight_decay: float = 0.01


def prepare(corpus: Corpus, folder: Path, num_words: int) -> None:
    """Write words.txt, the most frequent words, and ids.npy. Raises DataError where there is too little text."""
    words = list(corpus.ids)
    counts = sum(np.bincount(stream, minlength=len(words)) for stream in corpus.streams.values())
    counts[:len(SPECIAL)] = 0
    chosen = np.argsort(-counts, kind="stable")[:num_words - len(SPECIAL)]
    chosen = chosen[counts[chosen] > 0]
    if len(chosen) + len(SPECIAL) < num_words:
        raise DataError(f"the text has {len(chosen):,} different words, not {num_words:,}: give more text or fewer --words")
    place = np.full(len(words), UNKNOWN, np.uint16)
    place[chosen] = np.arange(len(SPECIAL), num_words)
    place[TEXT_BOUNDARY] = BOUNDARY
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "words.txt", "".join(f"{word}\n" for word in [*SPECIAL, *(words[i] for i in chosen)]))
    np.save(folder / "ids.npy", np.concatenate([place[stream] for stream in corpus.streams.values()]))


class WordTrainer:
    """One run, new or, where its folder has a last.pt, gone on with. A new one may begin with what another, `start`, has learned.

    Raises CheckpointError, DataError.
    """

    def __init__(self, folder: Path, sizes: WordModelConfig, config: WordTrainingConfig, references: Sequence[Path] = (), seed: int = 0,
                 start: Path | None = None):
        self.folder, self.config = folder, config
        self.words = (folder / "words.txt").read_text("utf-8").split()
        ids = np.load(folder / "ids.npy", mmap_mode="r")
        self.length = len(ids) // config.streams                            # words of a stream
        if self.length <= config.span:
            raise DataError(f"{folder}: {len(ids):,} words of text are too few for {config.streams} streams: give more")
        self.text = ids[:self.length * config.streams].reshape(config.streams, self.length)
        counts = np.bincount(ids, minlength=len(self.words)).astype(np.float64) + 1
        chance = counts ** config.flatten
        self._chance = torch.from_numpy(chance / chance.sum())
        self._log_chance = self._chance.log().float()
        torch.manual_seed(seed)
        self._random = torch.Generator().manual_seed(seed)
        self.model = WordModel(sizes)
        with torch.no_grad():
            self.model.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        self._optimiser = make_optimiser(self.model, OptimisationConfig(peak_rate=config.peak_rate, weight_decay=config.weight_decay))
        self._state = torch.zeros(config.streams, sizes.hidden)
        self.step = 0
        self.steps = max(1, int(config.passes * (self.length - 1) / config.span))
        self._references = {path.stem: reference_ids(path, self.words) for path in references}
        if (folder / "last.pt").exists():
            self._go_on()
        elif start is not None:
            self._begin_with(start)

    def run(self, report: Callable[[str], None] = print, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until `stopped` -> whether it is the end. last.pt is written every ten minutes and then."""
        saved_s = looked_s = began_s = time.monotonic()
        first, losses, sums = self.step, [], []
        while self.step < self.steps and not stopped():
            loss, log_sum = self._train()
            losses.append(loss)
            sums.append(log_sum)
            now_s = time.monotonic()
            if self.step % 50 == 0:
                rate = (self.step - first) * self.config.streams * self.config.span / (now_s - began_s)
                left = (self.steps - self.step) * self.config.streams * self.config.span / rate
                report(f"step {self.step}/{self.steps}  perplexity {math.exp(np.mean(losses[-50:])):.1f}  log sum "
                       f"{math.sqrt(np.mean(sums[-50:])):.3f}  {rate:,.0f} words/s  {left / 60:.0f} min left")
            if now_s - looked_s > LOOK_EVERY_S:
                report(self.look())
                looked_s = time.monotonic()
            if now_s - saved_s > SAVE_EVERY_S:
                self.save()
                saved_s = time.monotonic()
        report(self.look())
        self.save()
        return self.step >= self.steps

    def _train(self) -> tuple[float, float]:
        config = self.config
        at = self.step * config.span % (self.length - config.span)          # further passes are shifted against the first
        block = torch.from_numpy(self.text[:, at:at + config.span + 1].astype(np.int64)).t()                # (T + 1, N)
        kept = torch.rand(config.streams, 1, generator=self._random) >= config.forget
        outputs, state = self.model(block[:-1], self._state * kept)
        sampled = torch.multinomial(self._chance, config.sampled, replacement=True, generator=self._random)
        loss, log_sum = sampled_loss(self.model, outputs.flatten(0, 1), block[1:].flatten(), sampled, self._log_chance)
        (loss + config.sum_weight * log_sum).backward()
        rate = config.peak_rate * min(1.0, (self.step + 1) / config.warmup_steps) * (1 - self.step / self.steps)
        take_step(self._optimiser, self.model, rate, config.clip_norm)
        self._state = state.detach()
        self.step += 1
        return loss.item(), log_sum.item()

    def look(self) -> str:
        """Measure the references, note it in history.jsonl -> a line for people."""
        found = {name: perplexity(self.model, ids) for name, ids in self._references.items()}
        with open(self.folder / "history.jsonl", "a", encoding="utf-8") as out:
            out.write(json.dumps({"step": self.step, "perplexity": {name: round(value, 2) for name, (value, _) in found.items()},
                                  "log_sum": {name: round(value, 4) for name, (_, value) in found.items()}}) + "\n")
        return "  ".join(f"{name}: perplexity {value:.1f}, log sum {log_sum:.3f}" for name, (value, log_sum) in found.items())

    def save(self) -> None:
        """Write last.pt beside and rename. Raises CheckpointError where the disk refuses."""
        content = {"format": FORMAT, "sizes": asdict(self.model.config), "config": asdict(self.config), "words": self.words,
                   "model": self.model.state_dict(), "optimiser": self._optimiser.state_dict(), "state": self._state, "step": self.step,
                   "random": self._random.get_state()}
        store(content, self.folder / "last.pt", "run the same again")

    @torch.no_grad()
    def _begin_with(self, path: Path) -> None:
        """Take over the model of another run; a word that is new to it begins as its unknown word, but as frequent as in this text."""
        model, known = load_word_model(path)
        if (sizes := (model.config.embedding, model.config.hidden)) != (self.model.config.embedding, self.model.config.hidden):
            raise CheckpointError(f"{path}: a model of --embedding {sizes[0]} --hidden {sizes[1]}; give these, or begin from nothing")
        place = {word: i for i, word in enumerate(known)}
        rows = torch.tensor([place.get(word, UNKNOWN) for word in self.words])
        rarer = (self.model.bias - self.model.bias[UNKNOWN]) * (rows == UNKNOWN)           # the bias begins as the text's frequencies
        table = {"embedding.weight": model.embedding.weight[rows], "bias": model.bias[rows] + rarer}
        self.model.load_state_dict({**model.state_dict(), **table})

    def _go_on(self) -> None:
        content = read(self.folder / "last.pt")
        if content["sizes"] != asdict(self.model.config) or content["words"] != self.words:
            raise CheckpointError(f"{self.folder}/last.pt is of another model (its sizes or words differ): give another folder")
        self.model.load_state_dict(content["model"])
        self._optimiser.load_state_dict(content["optimiser"])
        self._state, self.step = content["state"], content["step"]
        self._random.set_state(content["random"])


def read(path: Path) -> dict:
    """What last.pt holds. Raises CheckpointError."""
    content = fetch(path, FORMAT, "`asr rescorer` writes last.pt into its folder")
    if "words" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of `asr rescorer`")
    return content


def load_word_model(path: Path) -> tuple[WordModel, list[str]]:
    """The model in evaluation mode, and its words. Raises CheckpointError."""
    content = read(path)
    model = WordModel(WordModelConfig(**content["sizes"]))
    model.load_state_dict(content["model"])
    return model.eval(), content["words"]


def reference_ids(manifest: Path, words: Sequence[str]) -> list[Tensor]:
    """A manifest's texts as ids, each with a boundary before and after it."""
    stream = reference_stream(manifest, [SPECIAL[UNKNOWN], SPECIAL[BOUNDARY], *words[len(SPECIAL):]])       # ids as language.py has them
    ids = np.where(stream == TEXT_BOUNDARY, BOUNDARY, np.where(stream == 0, UNKNOWN, stream)).astype(np.int64)
    edges = np.flatnonzero(ids == BOUNDARY)
    return [torch.from_numpy(ids[a:b + 1]) for a, b in pairwise(edges)]


@torch.no_grad()
def perplexity(model: WordModel, sentences: Sequence[Tensor], most: int = 64) -> tuple[float, float]:
    """Exact perplexity a word, ends included, of sentences that each begin from nothing; and the rms of the sum's logarithm."""
    total, squares, words = 0.0, 0.0, 0
    ordered = sorted(sentences, key=len)
    for start in range(0, len(ordered), most):
        batch = ordered[start:start + most]
        padded = torch.nn.utils.rnn.pad_sequence(batch, padding_value=-1)                                   # (T, N)
        if padded.shape[1] == 1:
            padded = padded.repeat(1, 2)                                    # the model runs two groups
        outputs, _ = model(padded[:-1].clamp_min(0), torch.zeros(padded.shape[1], model.config.hidden))
        there = padded[1:] >= 0
        scores = model.scores(outputs[there])                               # (M, V)
        total += functional.cross_entropy(scores, padded[1:][there], reduction="sum").item()
        squares += scores.logsumexp(1).square().sum().item()
        words += int(there.sum())
    return math.exp(total / words), math.sqrt(squares / words)
