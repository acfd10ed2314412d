"""`asr language`: word list, pronunciations and n-gram model from text."""

from pathlib import Path

import click


@click.command()
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="TEXT...")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tune", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="MANIFEST",
              help="Manifest (.tsv) whose texts weigh the sources against each other, and are measured. Never learned from. Repeatable.")
@click.option("--order", default=4, show_default=True, type=click.IntRange(2, 5), help="Longest n-gram, in words.")
@click.option("--words", default=120_000, show_default=True, type=click.IntRange(100, 250_000), help="Longest word list.")
@click.option("--size", "size_mb", default=24.8, show_default=True, type=click.FloatRange(0.1), help="Limit for language.binary, in MB.")
def language(texts: tuple[Path, ...], out: Path, tune: tuple[Path, ...], order: int, words: int, size_mb: float) -> None:
    """Build lexicon.txt.gz and language.binary in the folder OUT from text.

    TEXT is a .txt with a sentence a line (each is a source of its own) or a manifest, .tsv with a `text` column (all together are one
    source, and all their words enter the word list). Leave out what you test on, and sentences under a licence that a model must not carry.
    Needs the extra `train`; a C++ compiler (on Debian: apt-get install g++) to build KenLM's build_binary the first time, a minute; and
    for 200 million words 25 minutes of one core and 13 GB of memory (`--order 3`; less text takes less of both).

    \b
    Examples:
      asr language talks.txt novels.txt language
      asr language text/*.txt speech/train-*.tsv --tune speech/dev-libri.tsv --tune speech/dev-cv.tsv language
    """
    from asr.training.language import LanguageConfig, build_language

    cutoffs = (1, 1, 2, 2, 2)[:order]
    build_language(texts, tune, out, LanguageConfig(order=order, words=words, size_mb=size_mb, cutoffs=cutoffs), click.echo)
