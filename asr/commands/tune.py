"""`asr tune`: choose a bundle's decoding options on development speech."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from asr.processes import worker_pool


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--speech", required=True, type=click.Path(path_type=Path), help="Folder of speech sets, NAME.tsv with NAME.tar.")
@click.option("--sets", "names", default="dev", show_default=True, help="dev, or names with commas between.")
@click.option("--limit", type=click.IntRange(1), default=150, show_default=True, help="At most so many utterances of each set.")
@click.option("--trials", "random_points", type=click.IntRange(0), default=20, show_default=True, help="Random points to begin with.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--precision", default="auto", show_default=True, type=click.Choice(["auto", "int8", "float"]), help="Acoustic model.")
@click.option("--rescoring-only", is_flag=True, help="Weigh the word model (rescorer.onnx) alone; the search stays as it is.")
@click.option("--dry-run", is_flag=True, help="Print what would be chosen; leave the bundle as it is.")
def tune(bundle: Path, speech: Path, names: str, limit: int, random_points: int, jobs: int, precision: str, rescoring_only: bool,
         dry_run: bool) -> None:
    """Choose the weights, beam, and confidence curves with which the folder BUNDLE decodes, by their error rate on development speech.

    What the acoustic model says is computed once and kept in the user's cache folder, so a second run starts at once. What is found
    is written into BUNDLE/bundle.json.

    \b
    asr tune my-bundle --speech FOLDER
    asr tune my-bundle --speech FOLDER --sets dev-libri,dev-cv --limit 400 --dry-run
    """
    import json

    from asr.benchmark.sets import find_sets
    from asr.bundle import load_bundle, revise
    from asr.decoding.rescoring import FILES as RESCORER
    from asr.decoding.trials import Trials, log_prior
    from asr.decoding.tune import BEAMS
    from asr.decoding.tune import tune as search

    loaded = load_bundle(bundle)
    sets = [speech_set.first(limit) for speech_set in find_sets(speech, names)]
    utterances = [(speech_set.name, utterance) for speech_set in sets for utterance in speech_set.utterances]
    with worker_pool(jobs) as pool:
        stored = _emissions(pool, loaded, utterances, precision)
        trials = Trials(pool, jobs, bundle, stored)
        chosen, outcome = search(
            measure=trials.beam,
            greedy=trials.greedy,
            start=loaded.decoding if rescoring_only else {**BEAMS[3], "phone_prior": log_prior([utterance.file for utterance in stored])},
            rescored=loaded.has(RESCORER[0]),
            search=not rescoring_only,
            num_random=random_points,
            report=lambda changes, result: click.echo(f"WER {result.wer:6.2f} %  {result.busy_s:6.1f} s  {json.dumps(changes)}"),
        )
    for name in sorted(outcome.edits):
        click.echo(f"{name}: WER {100 * outcome.edits[name] / max(1, outcome.words[name]):.2f} % of {outcome.words[name]} words")
    click.echo(json.dumps(chosen))
    if not dry_run:
        revise(bundle, decoding=chosen)


def _emissions(pool: ProcessPoolExecutor, bundle, utterances: list, precision: str) -> list:
    """Compute what is not stored yet -> Stored of each utterance that has words."""
    from asr.cache import cache_folder
    from asr.client.acoustic import Acoustic
    from asr.decoding.trials import Stored
    from asr.text import normalise

    chosen = Acoustic(bundle, precision).precision if precision == "auto" else precision
    model = hashlib.sha256((bundle.folder / ("acoustic.onnx" if chosen == "float" else "acoustic.int8.onnx")).read_bytes()).hexdigest()
    folder = cache_folder() / "emissions" / model[:24]
    folder.mkdir(parents=True, exist_ok=True)
    entries, missing = [], []
    for name, utterance in utterances:
        text = normalise(utterance.text)
        if text:
            key = hashlib.sha256(f"{utterance.location} {utterance.id}".encode()).hexdigest()[:24]
            entries.append(Stored(name, text, str(folder / f"{key}.npz")))
            if not Path(entries[-1].file).exists():
                missing.append((utterance, entries[-1].file))
    size = 16
    parts = [missing[i : i + size] for i in range(0, len(missing), size)]
    computed = pool.map(partial(_compute, str(bundle.folder), chosen), parts)
    with click.progressbar(computed, length=len(parts), label="acoustic model") as bar:
        for _ in bar:
            pass
    return entries


_worker: dict = {}                                   # of a worker process: what it has loaded, once


def _compute(folder: str, precision: str, part: list) -> None:
    """Store the emissions of some utterances, as float16."""
    from asr.benchmark.sets import read_samples
    from asr.bundle import load_bundle
    from asr.client.acoustic import Acoustic
    from asr.decoding.trials import store

    if "acoustic" not in _worker:
        _worker["acoustic"] = Acoustic(load_bundle(folder), precision)
    for utterance, path in part:
        emission = _worker["acoustic"].whole(read_samples(utterance))
        store(path, emission)
