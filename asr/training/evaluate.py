"""Development results during training: loss, phone error rate and greedy word error rate with the averaged weights."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchaudio.functional import edit_distance

from asr.config import Latency
from asr.training.discriminative import PhoneGrammar
from asr.training.losses import LossConfig, Targets, losses
from asr.training.model import AcousticModel


@dataclass(frozen=True)
class Result:
    """Of one development set. Error rates are parts of one; words come from the pieces' best path, without a language model."""

    loss: float                      # nats a phone
    phone_error: float
    word_error: float


@torch.inference_mode()
def evaluate(model: AcousticModel, batches: Iterable[tuple[Tensor, Tensor, Targets, list[str]]], latency: Latency | None,
             words_of: Callable[[list[int]], str], dtype: torch.dtype, mmi: float = 0.0, grammar: PhoneGrammar | None = None) -> Result:
    """Run (samples (N, S), frames (N,), targets, normal texts) batches at a latency; `words_of` turns piece ids into text.

    The loss is the phones' alone, of which `mmi` is the part of MMI.
    """
    model.eval()
    config = LossConfig(pieces=0.0, halfway=0.0, mmi=mmi)
    loss_sum = phone_errors = phone_count = word_errors = word_count = 0.0
    for samples, frames, targets, texts in batches:
        phones, pieces = model(model.log_mel(samples), latency, dtype)
        loss = losses(config, phones, pieces, phones, frames.clamp(max=len(phones)), targets, grammar)
        loss_sum += loss.phones.item() * targets.phone_lengths.sum().item()
        references = targets.phones.split(targets.phone_lengths.tolist())
        for row, text in enumerate(texts):
            found, reference = best_path(phones[:frames[row], row]), references[row].tolist()
            phone_errors += edit_distance(found, reference)
            phone_count += len(reference)
            words = words_of(best_path(pieces[:frames[row], row])).split()
            word_errors += edit_distance(words, text.split())
            word_count += len(text.split())
    model.train()
    return Result(loss_sum / max(1, phone_count), phone_errors / max(1, phone_count), word_errors / max(1, word_count))


def best_path(log_probs: Tensor) -> list[int]:
    """(T, V) -> label ids of the best path, repeats merged, blanks dropped."""
    ids = log_probs.argmax(-1).unique_consecutive()
    return ids[ids != 0].tolist()
