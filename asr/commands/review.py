"""`asr review`: training sets without the utterances whose text is not what is said."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import click

from asr.processes import worker_pool

SHOWN = 5                            # contradicted texts of each set


@click.command()
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SET...")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the reviewed sets.")
@click.option("--teacher", required=True, type=click.Path(path_type=Path), help="Folder with Moonshine's graphs.")
@click.option("--tokenizer", required=True, type=click.Path(path_type=Path), help="Its tokenizer.json.")
@click.option("--bundle", type=click.Path(path_type=Path), help="The model that hears everything.  [default: the one that ships]")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: one a core]")
def review(sets: tuple[Path, ...], out: Path, teacher: Path, tokenizer: Path, bundle: Path | None, jobs: int) -> None:
    """Write each SET anew into a folder, without the utterances whose text both a model and a teacher contradict.

    SET is a NAME.tsv with its NAME.tar, a folder with a TSV, or a folder of LibriSpeech or Common Voice. The model of a bundle hears all
    of it; where more than half of the words are others, Moonshine listens (`asr gather --help` says how to get it). A text with which it
    agrees stays; else its own takes the text's place where it is sure and the model hears nearly the same, and the utterance goes where
    not. Run again to go on where it stopped. NAME.heard.tsv and NAME.taught.tsv have what was heard. Needs the extra `train`.

    \b
    Examples:
      asr review speech/train-l2.tsv --out reviewed --teacher package/dist/model/base/quantized --tokenizer tokenizer.json
      asr train english --speech reviewed --speech speech
    """
    from asr.bundle import load_bundle
    from asr.training.corpora import read_corpus
    from asr.training.review import KEPT, review
    from asr.training.transcriber import Transcriber

    load_bundle(bundle)                                                     # what is wrong with it is said here, once
    listen = Transcriber(teacher, tokenizer)
    with worker_pool(jobs, signal.signal, signal.SIGINT, signal.SIG_IGN) as pool:                          # Ctrl-C is this process's
        for path in sets:
            name = path.stem if path.suffix in (".tsv", ".tar") else path.name
            found = review(name, read_corpus(path), out, partial(_hear, pool, bundle, name), listen, jobs)
            counts = ", ".join(f"{found.fates[fate]:,} {fate}" for fate in (KEPT, *sorted(found.fates.keys() - {KEPT})))
            click.echo(f"{out / name}.tsv: {counts}")
            for one, text, heard, taught in found.contradicted[:SHOWN]:
                click.echo(f"  {one}\n    text     {text}\n    model    {heard}\n    teacher  {taught}")


def _hear(pool: ProcessPoolExecutor, bundle: Path | None, name: str, utterances: Sequence) -> Iterator[str]:
    """The model's texts, in order, with a progress bar."""
    found = pool.map(partial(_hear_one, bundle), utterances, chunksize=4)
    try:
        with click.progressbar(found, length=len(utterances), label=f"model: {name}") as bar:
            yield from bar
    except BaseException:
        pool.shutdown(cancel_futures=True)                                  # Ctrl-C need not wait for all
        raise


def _hear_one(bundle: Path | None, utterance) -> str:
    from asr.errors import AudioError
    from asr.training.review import samples_of

    try:
        return _recognizer(bundle).transcribe(samples_of(utterance)).text
    except AudioError:                                                      # nothing in it
        return ""


@cache
def _recognizer(bundle: Path | None):
    """A worker's, loaded once."""
    from asr import Recognizer

    return Recognizer(bundle)
