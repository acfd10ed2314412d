"""`asr rescorer`: the word model that chooses among the beam's hypotheses, from text."""

from pathlib import Path

import click


@click.command()
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="TEXT...")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tune", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="MANIFEST",
              help="Manifest (.tsv) whose texts are measured every ten minutes. Never learned from. Repeatable.")
@click.option("--words", default=32_768, show_default=True, type=click.IntRange(10, 65_536), help="Words that the model knows.")
@click.option("--embedding", default=128, show_default=True, type=click.IntRange(8), help="Numbers that stand for a word.")
@click.option("--hidden", default=512, show_default=True, type=click.IntRange(8), help="Width of the GRU.")
@click.option("--start", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="LAST.PT",
              help="Begin with what another run has learned; its words may be others.")
@click.option("--rate", default=3e-3, show_default=True, type=click.FloatRange(min=0, min_open=True),
              help="Highest learning rate; less for a model that --start has trained.")
@click.option("--passes", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Over the text.")
def rescorer(texts: tuple[Path, ...], out: Path, tune: tuple[Path, ...], words: int, embedding: int, hidden: int,
             start: Path | None, rate: float, passes: float) -> None:
    """Train a GRU language model over words on text, and write rescorer.onnx and rescorer.words.txt into the folder OUT.

    TEXT is as for `asr language`, whose OUT this may be. Ctrl-C or SIGTERM keeps the state in last.pt; the same command then goes on from
    it, without reading the text again. Takes two hours of two cores for 70 million words. Needs the extras `train` and `export`.

    \b
    Examples:
      asr rescorer talks.txt novels.txt language
      asr rescorer text/*.txt speech/train-*.tsv --tune speech/dev-libri.tsv language --passes 0.5
      asr rescorer text/*.txt news.txt --start language/last.pt language-2 --passes 0.3 --rate 1e-3
      asr export asr/models/english my-bundle --language language
    """
    import signal

    from asr.training.memory import keep_freed_memory
    keep_freed_memory()
    from asr.training.language import read_corpus
    from asr.training.word_model import WordModelConfig
    from asr.training.word_training import WordTrainer, WordTrainingConfig, prepare
    from export.rescorer import write_rescorer

    stopped = []
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: stopped.append(True))
    if not (out / "last.pt").exists():
        prepare(read_corpus(texts, click.echo), out, words)
    trainer = WordTrainer(out, WordModelConfig(words, embedding, hidden), WordTrainingConfig(passes=passes, peak_rate=rate), tune,
                          start=start)
    if trainer.run(click.echo, lambda: bool(stopped)):
        write_rescorer(trainer.model.eval(), trainer.words, out)
        click.echo(f"{out}/rescorer.onnx is ready: asr export BUNDLE NEW_BUNDLE --language {out}, then asr tune NEW_BUNDLE")
    else:
        click.echo(f"stopped after {trainer.step:,} of {trainer.steps:,} steps: the same command goes on")
        raise click.exceptions.Exit(130)
