"""Train the pronouncer: its data, its loop, its error rates.

The folder of a run holds last.pt (everything to go on from) and history.jsonl (a line for each look at the words kept back). A batch's
words have the same number of letters, so that no letter is padding; every pronunciation of a word is learned.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import edit_distance

from asr.errors import CheckpointError, DataError
from asr.pronouncer import END, LETTERS, PHONES
from asr.training.checkpoint import fetch, store
from asr.training.optimisation import OptimisationConfig, make_optimiser, take_step
from asr.training.pronouncer_model import PronouncerConfig, PronouncerModel

FORMAT = 1
SAVE_EVERY_S, LOOK_EVERY_S = 300.0, 120.0
PADDING = -100                       # a target that costs nothing, as torch has it
Phones = tuple[str, ...]
Words = Mapping[str, Sequence[Phones]]


@dataclass(frozen=True)
class PronouncerTrainingConfig:
    """Choices of a run."""

    passes: float = 20.0             # over the dictionary
    batch: int = 128                 # pronunciations a step
    peak_rate: float = 3e-3
    warmup_steps: int = 200
    clip_norm: float = 1.0
    weight_decay: float = 0.01


def split(words: Words, keep_back: str) -> tuple[dict, dict]:
    """Words to learn from and words kept back, by their place in the sorted list.

    "tenth" keeps every tenth word back, from the first on. "twentieth" is for choosing settings: it leaves those out of both, and keeps
    back every twentieth, from the sixth on. "none" keeps nothing back.
    """
    learned, kept = {}, {}
    for place, (word, said) in enumerate(sorted(words.items())):
        part = "tenth" if place % 10 == 0 else "twentieth" if place % 20 == 5 else "rest"
        if keep_back == part:
            kept[word] = said
        elif part != "tenth" or keep_back == "none":
            learned[word] = said
    return learned, kept


class PronouncerTrainer:
    """One run, new or, where its folder has a last.pt, gone on with. Raises CheckpointError, DataError."""

    def __init__(self, folder: Path, words: Words, kept: Words, sizes: PronouncerConfig, config: PronouncerTrainingConfig, seed: int = 0):
        self.folder, self.config, self._seed = folder, config, seed
        self._data, self._kept = _by_length(words), _by_length(kept)
        self._pass: tuple[int, list[tuple[int, np.ndarray]]] = (-1, [])
        self._per_pass = sum(-(-len(said) // config.batch) for _, said in self._data.values())
        if not self._per_pass:
            raise DataError("no words to learn from: give a dictionary with some")
        torch.manual_seed(seed)
        self.model = PronouncerModel(sizes)
        self._optimiser = make_optimiser(self.model, OptimisationConfig(peak_rate=config.peak_rate, weight_decay=config.weight_decay))
        self.step, self.seconds = 0, 0.0                                    # seconds: of all parts of the run
        self.steps = max(1, round(config.passes * self._per_pass))
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "last.pt").exists():
            self._go_on()

    def run(self, report: Callable[[str], None] = print, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until `stopped` -> whether it is the end. last.pt is written every five minutes and then."""
        self.model.train()
        saved_s = looked_s = began_s = time.monotonic()
        first, before_s, losses = self.step, self.seconds, []
        while self.step < self.steps and not stopped():
            losses.append(self._train())
            now_s = time.monotonic()
            self.seconds = before_s + now_s - began_s
            if self.step % 200 == 0:
                left_s = (self.steps - self.step) * (now_s - began_s) / (self.step - first)
                report(f"step {self.step}/{self.steps}  loss {np.mean(losses[-200:]):.4f} nats a phone  {left_s / 60:.0f} min left")
            if self._kept and now_s - looked_s > LOOK_EVERY_S:
                report(self.look())
                looked_s = time.monotonic()
            if now_s - saved_s > SAVE_EVERY_S:
                self.save()
                saved_s = time.monotonic()
        if self._kept:
            report(self.look())
        self.save()
        return self.step >= self.steps

    def _train(self) -> float:
        config = self.config
        letters, phones = self._batch()
        loss = _loss(self.model, letters, phones)
        loss.backward()
        rate = config.peak_rate * min(1.0, (self.step + 1) / config.warmup_steps) * (1 - self.step / self.steps)
        take_step(self._optimiser, self.model, rate, config.clip_norm)
        self.step += 1
        return loss.item()

    def _batch(self) -> tuple[Tensor, Tensor]:
        """The batch of this step: each pass has its own order, drawn from the seed and the pass's number."""
        number, place = divmod(self.step, self._per_pass)
        if self._pass[0] != number:
            chance, batches = np.random.default_rng([self._seed, number]), []
            for length, (_, said) in self._data.items():
                order = chance.permutation(len(said))
                batches += [(length, order[at:at + self.config.batch]) for at in range(0, len(order), self.config.batch)]
            self._pass = number, [batches[i] for i in chance.permutation(len(batches))]
        length, chosen = self._pass[1][place]
        letters, phones = self._data[length]
        return letters[chosen], _trimmed(phones[chosen])

    @torch.no_grad()
    def look(self) -> str:
        """Measure the words kept back, note it in history.jsonl -> a line for people."""
        self.model.eval()
        total, count = 0.0, 0
        for letters, phones in self._kept.values():
            for a, b in zip(letters.split(512), phones.split(512)):
                there = int((b != PADDING).sum())
                total += _loss(self.model, a, _trimmed(b)).item() * there
                count += there
        self.model.train()
        with open(self.folder / "history.jsonl", "a", encoding="utf-8") as out:
            out.write(json.dumps({"step": self.step, "seconds": round(self.seconds), "loss": round(total / count, 4)}) + "\n")
        return f"words kept back: loss {total / count:.4f} nats a phone"

    def save(self) -> None:
        """Write last.pt beside and rename. Raises CheckpointError where the disk refuses."""
        content = {"format": FORMAT, "sizes": asdict(self.model.config), "config": asdict(self.config), "model": self.model.state_dict(),
                   "optimiser": self._optimiser.state_dict(), "step": self.step, "seconds": self.seconds, "per_pass": self._per_pass,
                   "random": torch.get_rng_state()}
        store(content, self.folder / "last.pt", "run the same again")

    def _go_on(self) -> None:
        path = self.folder / "last.pt"
        content = read(path)
        if content["sizes"] != asdict(self.model.config) or content["per_pass"] != self._per_pass:
            raise CheckpointError(f"{path} is of another model or other words: give another folder")
        self.model.load_state_dict(content["model"])
        self._optimiser.load_state_dict(content["optimiser"])
        self.step, self.seconds = content["step"], content["seconds"]
        torch.set_rng_state(content["random"])                              # dropout's


def read(path: Path) -> dict:
    """What last.pt holds. Raises CheckpointError."""
    content = fetch(path, FORMAT, "`asr pronouncer` writes last.pt into its folder")
    if "per_pass" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of `asr pronouncer`")
    return content


def load_pronouncer(path: Path) -> PronouncerModel:
    """The model in evaluation mode. Raises CheckpointError."""
    content = read(path)
    model = PronouncerModel(PronouncerConfig(**content["sizes"]))
    model.load_state_dict(content["model"])
    return model.eval()


def error_rates(guesses: Iterable[Phones], references: Iterable[Sequence[Phones]]) -> tuple[float, float]:
    """Phone and word error rate of a guess a word, each against the nearest of the word's pronunciations."""
    edits = phones = wrong = words = 0
    for guess, said in zip(guesses, references, strict=True):
        distance, length = min((edit_distance(one, guess), len(one)) for one in said)
        edits, phones, wrong, words = edits + distance, phones + length, wrong + (distance > 0), words + 1
    return edits / phones, wrong / words


def _loss(model: PronouncerModel, letters: Tensor, phones: Tensor) -> Tensor:
    """letters (N, T), phones (N, U) with the end and then padding -> mean negative log-probability of a phone, in nats."""
    before = functional.pad(phones[:, :-1], (1, 0), value=END).clamp_min(0)
    return functional.cross_entropy(model(letters, before).flatten(0, 1), phones.flatten(), ignore_index=PADDING)


def _trimmed(phones: Tensor) -> Tensor:
    """Without the columns that are all padding."""
    return phones[:, :int((phones != PADDING).sum(1).max())]


def _by_length(words: Words) -> dict[int, tuple[Tensor, Tensor]]:
    """Number of letters T -> letters (M, T) and phones (M, U), an end after each and then padding, of all M pronunciations."""
    pairs = [(word, one) for word, said in words.items() for one in said]
    number = {phone: i for i, phone in enumerate(PHONES)}
    by_length: dict[int, list[tuple[list[int], list[int]]]] = {}
    for word, said in sorted(pairs):
        spelled = [LETTERS.index(letter) for letter in word]
        by_length.setdefault(len(word), []).append((spelled, [*(number[phone] for phone in said), END]))
    found = {}
    for length, entries in sorted(by_length.items()):
        phones = torch.nn.utils.rnn.pad_sequence([torch.tensor(said) for _, said in entries], batch_first=True, padding_value=PADDING)
        found[length] = torch.tensor([spelled for spelled, _ in entries]), phones
    return found
