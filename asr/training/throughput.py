"""How fast this machine trains a recipe's model, part by part, beside the limit that its matrix products set.

The limit is the time that the model's own matrix products would take if each ran at the speed measured here for one large product in
the dtype that training uses, forward and backward (three products for each weight). Everything a step does besides counts against it,
but for finding hypotheses ([loss] risk), which needs real speech.
"""

import multiprocessing
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch.nn import functional

from asr.config import ENCODERS, FRAME_S, RATE_HZ, Latency
from asr.processes import end_with_parent
from asr.training.discriminative import PhoneGrammar
from asr.training.loop import draw_latency
from asr.training.losses import Targets, losses
from asr.training.masking import mask
from asr.training.memory import keep_freed_memory
from asr.training.model import AcousticModel
from asr.training.optimisation import MovingAverage, fast_dtype, make_optimiser
from asr.training.recipe import Recipe

UTTERANCE_S = 10.0
STEPS = 8
LABELS_PER_S = 12                    # phones; about a third as many pieces


def benchmark_table(recipe: Recipe, processes: int) -> str:
    """Seconds of audio a second by part of the step, and the limit, as lines of text; `processes` measured side by side, as they train."""
    share = replace(recipe, data=replace(recipe.data, batch_seconds=recipe.data.batch_seconds / processes))
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_prepare_process, initargs=(processes,)) as pool:
        def everywhere(function, *arguments):
            return pool.starmap(function, [(share, *arguments)] * processes, chunksize=1)

        limit = sum(everywhere(limit_audio_per_s))
        device, dtype = where_to_train()
        lines = [f"{device.type}, {processes} processes, {str(dtype).removeprefix('torch.')}, {count_parameters(recipe) / 1e6:.1f} million "
                 f"parameters, batches of {recipe.data.batch_seconds:.0f} s",
                 f"{'limit of the matrix products, full context':<46}{limit:7.0f} s of audio a second"]
        kinds = (("full context", None), ("chunks of 320 ms", Latency(8, 6)), ("latencies of the recipe", "drawn"))
        for name, latency in kinds if recipe.model.encoder == ENCODERS[0] else kinds[:1]:
            measured = everywhere(measure, latency)
            speed = sum(audio_s / sum(parts.values()) for parts, audio_s in measured)
            lines.append(f"{name:<46}{speed:7.0f} s of audio a second, {100 * speed / limit:.0f} % of the limit")
            parts, _ = measured[0]
            lines += [f"    {part:<42}{100 * seconds / sum(parts.values()):7.1f} % of the step" for part, seconds in parts.items()]
    return "\n".join(lines)


def _prepare_process(processes: int) -> None:
    end_with_parent()
    keep_freed_memory()
    if processes > 1:
        torch.set_num_threads(1)


def where_to_train() -> tuple[torch.device, torch.dtype]:
    """A GPU where there is one, and the dtype that is fast there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return device, fast_dtype(device)


def count_parameters(recipe: Recipe) -> int:
    """Weights and biases of the recipe's model."""
    return sum(p.numel() for p in AcousticModel(recipe.model).parameters())


def limit_audio_per_s(recipe: Recipe) -> float:
    """Seconds of audio a second if a step were its GRU and linear products alone, at the speed of a large product."""
    device, dtype = where_to_train()
    model = AcousticModel(recipe.model)
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    operations = 2 * 3 * weights / FRAME_S                                  # a second of audio, forward and backward
    rows = round(recipe.data.batch_seconds / FRAME_S)
    a = torch.randn(rows, 2 * recipe.model.hidden, device=device).to(dtype)
    b = torch.randn(2 * recipe.model.hidden, 3 * recipe.model.hidden, device=device).to(dtype)
    seconds = sorted(_seconds(lambda: a @ b, device) for _ in range(40))[10]            # all processes run, none has the cores alone
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / seconds / operations


def measure(recipe: Recipe, latency: Latency | None | str) -> tuple[dict[str, float], float]:
    """Run training steps on random audio, at a latency or at "drawn" ones -> seconds spent in each part, and seconds of audio passed."""
    device, dtype = where_to_train()
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(0)
    model = AcousticModel(recipe.model).to(device).train()
    optimiser, average = make_optimiser(model, recipe.optimisation), MovingAverage(model, 0.999)
    rows = max(1, round(recipe.data.batch_seconds / UTTERANCE_S))
    samples = torch.randn(rows, round(UTTERANCE_S * RATE_HZ), device=device) * 0.1
    targets = _random_targets(recipe, rows)
    grammar = PhoneGrammar.counted([targets.phones.tolist()], recipe.model.phones) if recipe.loss.mmi else None
    parts: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(name: str, counted: bool):
        began = time.perf_counter()
        yield
        if device.type == "cuda":
            torch.cuda.synchronize()
        if counted:
            parts[name] += time.perf_counter() - began

    for step in range(-2, STEPS):
        counted = step >= 0
        chosen = draw_latency(recipe.latency, chance) if latency == "drawn" else latency
        with part("log-mel and masks", counted), torch.no_grad():
            mel = model.log_mel(samples)
            mel = mask(mel, torch.full((rows,), mel.shape[1]), recipe.masking, chance)
        with part("forward", counted):
            phones, pieces, halfway, _ = model.forward_all(mel, chosen, dtype)
        with part("losses", counted):
            loss = losses(recipe.loss, phones, pieces, halfway, torch.full((rows,), len(phones)), targets, grammar)
        with part("backward, the losses' too", counted):
            loss.total.backward()
        with part("optimiser and moving average", counted):
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optimisation.clip_norm, foreach=True)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            average.update(model, 100)
    return dict(parts), STEPS * rows * UTTERANCE_S


def _random_targets(recipe: Recipe, rows: int) -> Targets:
    labels = round(UTTERANCE_S * LABELS_PER_S)
    phones = torch.randint(1, recipe.model.phones, (rows, labels)).tolist()
    pieces = torch.randint(1, recipe.model.pieces, (rows, labels // 3)).tolist()
    return Targets.of(phones, pieces)


def _seconds(product, device: torch.device) -> float:
    began = time.perf_counter()
    functional.relu(product()[:1]).sum().item()                             # .item() waits for the device
    return time.perf_counter() - began
