"""`asr pronounce`: how words are probably said, by their letters alone."""

from pathlib import Path

import click


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--limit", default=1, show_default=True, type=click.IntRange(1, 20), help="Pronunciations of each word, at most.")
@click.option("--model", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="A pronouncer.onnx of `asr pronouncer`, in place of the one that comes with the program.")
def pronounce(words: tuple[str, ...], limit: int, model: Path | None) -> None:
    """Print each WORD, the natural logarithm of a pronunciation's probability, and its phones; the likeliest first, tabs between.

    The phones are ARPAbet's without stress. The network has only learned spelling: it knows no list of words, and guesses each anew.

    \b
    Examples:
      asr pronounce kubernetes
      asr pronounce --limit 3 Siobhan "o'malley"
      asr pronounce --model runs/pronouncer/pronouncer.onnx emoji
    """
    from asr.errors import DataError
    from asr.pronouncer import LetterToSound

    for word, guesses in zip(words, LetterToSound(model).pronounce_all(words, limit)):
        if not guesses:
            raise DataError(f"{word!r} has none of the letters a-z, so it cannot be pronounced: correct or remove it")
        for log_prob, phones in guesses:
            click.echo(f"{word}\t{log_prob:.2f}\t{' '.join(phones)}")
