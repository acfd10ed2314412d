"""`asr synthesize`: speech from text in many voices, a set that `asr train` reads."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

CANDIDATES = 100_000


@click.command()
@click.argument("text", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--hours", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Speech to make, in all.")
@click.option("--engine", default="kokoro", show_default=True, type=click.Choice(["kokoro", "flite"]), help="Who speaks.")
@click.option("--voices", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER",
              help="Kokoro's voices, *.bin. Default: the five that its package holds.")
@click.option("--speakers", default=600, show_default=True, type=click.IntRange(1), help="Mixed voices in the pool.")
@click.option("--recorded", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="MANIFEST",
              help="Manifest (.tsv) of speech that you have: what its texts lack is spoken first. Repeatable.")
@click.option("--check", is_flag=True, help="Let Moonshine tiny listen, and drop what it understands otherwise (extra `peers`).")
@click.option("--jobs", default=os.cpu_count() or 1, type=click.IntRange(1), help="Processes.  [default: one a core]")
@click.option("--seed", default=1, show_default=True, type=int, help="Another one: other speakers, other speech.")
def synthesize(text: Path, out: Path, hours: float, engine: str, voices: Path | None, speakers: int, recorded: tuple[Path, ...],
               check: bool, jobs: int, seed: int) -> None:
    """Speak the sentences of TEXT, one a line, into the folder OUT: Opus files and utterances.tsv.

    Sentences come in the order of need: first those whose words, pairs of words and sounds TEXT uses much and --recorded has not. Lines
    with digits are passed over. A text that is too short for the hours is spoken again by others. Run again to go on where it stopped.

    To teach a model words that it does not know, write sentences with them, speak them, and train on, OUT's name being one of the sets
    of your recipe. Needs the extras `train` and `synthesis`. More voices: npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    package/voices

    \b
    Examples:
      asr synthesize words.txt speech/train-words --voices package/voices
      asr synthesize novels.txt speech/train-synthetic --hours 15 --recorded speech/train-libri.tsv
      asr synthesize novels.txt speech/train-flite --engine flite --check
    """
    from asr.text import normalise
    from asr.training.manifests import read_table
    from asr.training.pronounce import Pronouncer
    from asr.training.sentences import most_needed, read_candidates
    from asr.training.synthesis import Order, synthesize
    from asr.training.voices import ENGINES

    teacher = _teacher() if check else None
    ENGINES[engine](voices, seed, 1)                                      # what is missing is said here, once
    candidates = read_candidates(text, CANDIDATES, seed)
    click.echo(f"{text}: {len(candidates):,} sentences to choose from", err=True)
    have = [row["text"] for path in recorded for _, row in read_table(path, ("text",))]
    pronouncer = Pronouncer()
    pronouncer.prepare({word for told in (*candidates, *have) for word in normalise(told).split()})      # many at once: four times as fast
    ordered = _Once(most_needed(candidates, have, lambda word: pronouncer.pronounce(word)[0]))
    with click.progressbar(length=round(3600 * hours), label="Speaking", file=sys.stderr, show_percent=True) as bar:
        made = synthesize(lambda: iter(ordered), out, hours, Order(engine, voices, seed, speakers, teacher), jobs, bar.update)
    click.echo(f"{out}: {made.utterances:,} utterances, {made.seconds / 3600:.2f} h, {made.speakers} speakers, {ENGINES[engine].source}")
    for reason, count in made.dropped.most_common():
        click.echo(f"dropped: {count:,} {reason}")
    if made.seconds < 3600 * hours:
        click.echo("no more could be made of this text: give a longer one")


class _Once:
    """An iterator that can be gone through again."""

    def __init__(self, items: Iterable):
        self._items, self._seen = iter(items), []

    def __iter__(self):
        yield from self._seen
        for item in self._items:
            self._seen.append(item)
            yield item


def _teacher():
    from asr.errors import MissingExtraError

    try:
        import jiwer  # noqa: F401
        import moonshine_voice  # noqa: F401
    except ImportError:
        raise MissingExtraError("moonshine-voice or jiwer", "benchmark,peers") from None
    from asr.benchmark.systems.moonshine import MoonshineTiny
    return MoonshineTiny
