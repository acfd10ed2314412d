"""`asr export`: a checkpoint becomes a bundle, once its graphs are seen to compute what the model computes."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--language", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Folder with lexicon.txt.gz and language.binary (of `asr language`), and perhaps rescorer.onnx (of `asr rescorer`). "
                   "Without it the bundle only decodes greedily.")
@click.option("--average", "others", multiple=True, type=click.Path(path_type=Path), metavar="CHECKPOINT",
              help="Export the mean of CHECKPOINT's weights and of this one's, which trained on from the same beginning; repeatable, and "
                   "one given twice counts twice. Bundles do as well.")
@click.option("--speech", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Measure word error rates on the dev sets of this folder and keep them in the bundle.")
@click.option("--utterances", type=click.IntRange(min=1), metavar="N", help="Measure on N utterances of each set only.")
@click.option("--name", help="The bundle's name. Default: the file name of BUNDLE.")
@click.option("--licence", default="", metavar="TEXT", help="Licence of the weights, for bundle.json.")
@click.option("--card", type=click.Path(path_type=Path), metavar="FILE", help="MODEL_CARD.md for the bundle. Default: a short one.")
@click.option("--features-input", is_flag=True, help="Also write acoustic.features.onnx, which takes log-mel instead of samples.")
def export(checkpoint: Path, bundle: Path, language: Path | None, others: tuple[Path, ...], speech: Path | None, utterances: int | None,
           name: str | None, licence: str, card: Path | None, features_input: bool) -> None:
    """Turn CHECKPOINT into BUNDLE: a folder, or one file if it ends in .asr. CHECKPOINT may be a bundle, to give it other language files.

    \b
    asr export runs/english/best.pt asr/models/english --language runs/language
    asr export runs/english/best.pt english.asr --language runs/language --speech ../shared/speech
    asr export asr/models/english mine.asr --language runs/language
    asr export asr/models/english mine --average runs/further/best.pt --language runs/language

    The float and int8 graphs are compared with the model at several lengths and every latency. Where they differ, nothing is written.
    """
    from asr.config import LATENCIES
    from export import parity
    from export.average import average
    from export.packaging import add_error_rates, export_bundle, with_language

    if not others and (checkpoint.is_dir() or checkpoint.suffix == ".asr"):
        if not language:
            raise click.UsageError("a bundle is turned into another with --language FOLDER")
        made = with_language(checkpoint, bundle, language)
    else:
        trained = average([checkpoint, *others])
        comparisons = 2 * len(parity.LENGTHS_S) * (1 + len(LATENCIES))      # float and int8, whole and in chunks
        with click.progressbar(length=comparisons, label="Comparing with the model", file=sys.stderr) as bar:
            made, cases = export_bundle(trained, bundle, name or bundle.stem, language, card, licence, features_input,
                                        parity.LENGTHS_S, advance=lambda case: bar.update(1))
        click.echo(parity.table(cases))
    sizes = {file: made.path(file).stat().st_size for file in made.files}
    click.echo("\n".join(f"{size / 1e6:8.2f} MB  {file}" for file, size in sizes.items()))
    if speech:
        made = add_error_rates(bundle, speech, utterances)
        for set_name, rates in made.wer.items():
            click.echo("\n".join(f"WER {rate:6.2f} %  {set_name}, {precision}, {mode}" for precision, modes in rates.items()
                                 for mode, rate in modes.items()))
    click.echo(f"{bundle} is ready: asr transcribe --bundle {bundle} FILE")
