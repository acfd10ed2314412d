"""`asr compare`: error rates of checkpoints, by the best path and by one bundle's beam, for tables of experiments."""

import json
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from asr.config import LATENCIES
from asr.processes import worker_pool


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CHECKPOINT...")
@click.option("--speech", required=True, type=click.Path(path_type=Path), help="Folder of speech sets, NAME.tsv with NAME.tar.")
@click.option("--sets", "names", default="dev", show_default=True, help="dev, or names with commas between.")
@click.option("--limit", type=click.IntRange(1), default=60, show_default=True, help="At most so many utterances of each set.")
@click.option("--chunk", type=click.Choice([str(chunk_ms) for chunk_ms in LATENCIES]), help="Hear in chunks of so many ms, not whole.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Whose lexicon and n-gram decode.  [default: the one that ships]")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: one a core]")
def compare(checkpoints: tuple[Path, ...], speech: Path, names: str, limit: int, chunk: str | None, bundle: Path | None, jobs: int) -> None:
    """Print a row of error rates for each CHECKPOINT: of the word pieces' best path, and of the phones by the beam of a bundle.

    The beam's weights are found anew for each (a beam of 200 states, no word model), on the same utterances, so that none is judged by
    another's weights. Bundles do as checkpoints, too; so do models that cannot be exported. Needs the extra `train`.

    \b
    asr compare runs/gru/best.pt runs/lstm/best.pt --speech FOLDER
    asr compare runs/gru/best.pt --speech FOLDER --chunk 320
    """
    from asr.benchmark.sets import find_sets
    from asr.bundle import load_bundle
    from asr.text import normalise
    from asr.training.listener import Listener
    from export.average import load_weights

    decoding = load_bundle(bundle)
    sets = [speech_set.first(limit) for speech_set in find_sets(speech, names)]
    utterances = [(s.name, utterance, text) for s in sets for utterance in s.utterances if (text := normalise(utterance.text))]
    columns = [s.name for s in sets]
    with worker_pool(jobs) as pool:
        for number, path in enumerate(checkpoints):
            listener = Listener(load_weights(path), LATENCIES[int(chunk)] if chunk else None)
            greedy, beam, weights = _measure(pool, jobs, listener, decoding, utterances, str(path))
            if not number:
                click.echo(f"| | parameters | greedy: {' / '.join(columns)} | mean | beam | mean | its weights |")
                click.echo("|---|---:|---|---:|---|---:|---|")
            click.echo(f"| {path} | {listener.parameters / 1e6:.2f} M | {_cells(greedy, columns)} | {_cells(beam, columns)} "
                       f"| {json.dumps(weights)} |")


def _measure(pool: ProcessPoolExecutor, jobs: int, listener, bundle, utterances: list, label: str) -> tuple[dict, dict, dict]:
    """Error rates in % by set, of the best path and of the beam, and the beam's weights."""
    from asr.benchmark.sets import read_samples
    from asr.decoding.trials import Stored, Trials, log_prior, store
    from asr.decoding.tune import BEAMS, weigh
    from asr.training.listener import word_edits

    edits, words, stored = Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        with click.progressbar(utterances, label=label, file=sys.stderr) as bar:
            for name, utterance, text in bar:
                emission, heard = listener.hear(read_samples(utterance))
                edits[name] += word_edits(text, heard)
                words[name] += len(text.split())
                stored.append(Stored(name, text, f"{folder}/{len(stored)}.npz"))
                store(stored[-1].file, emission)
        start = {**BEAMS[2], "phone_prior": log_prior([each.file for each in stored])}
        weights, outcome = weigh(Trials(pool, jobs, bundle.folder, stored).beam, start)
    return ({name: 100 * edits[name] / words[name] for name in words},
            {name: 100 * outcome.edits[name] / outcome.words[name] for name in words}, weights)


def _cells(rates: dict[str, float], columns: list[str]) -> str:
    """Of each set, and their mean."""
    return f"{' / '.join(f'{rates[name]:.1f}' for name in columns)} | {sum(rates.values()) / len(rates):.1f}"
