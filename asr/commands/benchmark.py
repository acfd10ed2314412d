"""`asr benchmark`: error rates, speed, delay, memory, start-up, sizes and endurance, beside other recognisers."""

import contextlib
from pathlib import Path

import click

from asr.benchmark.noisy import NOISES
from asr.benchmark.run import HOURS, PARTS, USUAL_PARTS
from asr.benchmark.systems import PEERS
from asr.benchmark.wer import BLOCKS, DECODERS, PRECISIONS

SYSTEMS = ("asr", *PEERS)


def choice_list(allowed: tuple[str, ...]):
    """A click callback for options that take several of `allowed` with commas between."""
    def parse(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(word.strip() for word in (value or "").split(",") if word.strip()))
        wrong = [word for word in chosen if word not in allowed]
        if wrong or (value is not None and not chosen):
            raise click.BadParameter(f"{', '.join(wrong) or 'nothing'} is none of {', '.join(allowed)}")
        return chosen
    return parse


@click.command()
@click.option("--speech", type=click.Path(path_type=Path), help="Folder of speech sets, NAME.tsv with NAME.tar. Default: recordings/.")
@click.option("--sets", "names", default="dev", show_default=True, help="dev, test, all, or names with commas between.")
@click.option("--peers", is_flag=True, help="Measure PocketSphinx, Moonshine tiny and Whisper tiny.en too.")
@click.option("--systems", callback=choice_list(SYSTEMS), help=f"Measure only these: {', '.join(SYSTEMS)}.")
@click.option("--parts", default=",".join(USUAL_PARTS), show_default=True, callback=choice_list(PARTS),
              help="What to measure; soak, too, which takes long.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), default=HOURS, show_default=True, help="Of sound in a soak.")
@click.option("--limit", type=click.IntRange(1), help="Only so many utterances of each set, spread over it.")
@click.option("--noise", "noises", callback=choice_list(NOISES),
              help=f"Error rates in noise too: {', '.join(NOISES)}.")
@click.option("--snr", "levels", type=float, multiple=True, default=(0, 5, 10, 15, 20), show_default=True,
              help="Level of the speech over the noise in dB; repeat for several.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes for error rates.")
@click.option("--bundle", help="Bundle to measure. Default: the one that comes with the program.")
@click.option("--modes", "blocks", default=",".join(BLOCKS), show_default=True, callback=choice_list(BLOCKS),
              help="Blocks: whole utterances, or chunks in milliseconds.")
@click.option("--precision", "precisions", default=",".join(PRECISIONS), show_default=True, callback=choice_list(PRECISIONS),
              help="Acoustic models.")
@click.option("--decoder", "decoders", default=",".join(DECODERS), show_default=True, callback=choice_list(DECODERS),
              help="Decoders; speed is that of the first.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="File of rows to add to. Default: recordings/benchmark.json of the clone.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="PNG to draw of all rows: errors by latency and by noise.")
@click.option("--readme", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="README whose tables to write anew.")
def benchmark(speech, names, peers, systems, parts, hours, limit, noises, levels, jobs, bundle, blocks, precisions, decoders, output, plot,
              readme):
    """Measure this recogniser, and its peers, on speech with known words.

    Rows are added to a JSON file after each part: a row takes the place of the one with the same metric, set, system, precision and
    mode. Tables of the new rows are printed, and in the last line their main figures as JSON.

    \b
    asr benchmark                                       the recordings of the project
    asr benchmark --speech FOLDER --jobs 2              all dev sets of a folder
    asr benchmark --speech FOLDER --sets dev-cv --peers --parts errors
    asr benchmark --speech FOLDER --parts idle,soak     hours of sound, and what silence costs
    asr benchmark --modes full,320 --precision int8 --decoder beam
    asr benchmark --speech FOLDER --parts errors --noise babble,pink --peers --limit 100 --plot errors.png
    """
    from asr.benchmark.noisy import in_noise
    from asr.benchmark.plots import draw
    from asr.benchmark.report import print_rows, summary, update_readme
    from asr.benchmark.rows import add_rows, project_root
    from asr.benchmark.run import Plan, run
    from asr.benchmark.sets import find_sets
    from asr.benchmark.wer import Grid

    if plot and plot.suffix.lower() != ".png":
        raise click.UsageError(f"--plot draws a PNG; call it {plot.with_suffix('.png')}")
    output = output or (recordings if (recordings := project_root() / "recordings").is_dir() else Path()) / "benchmark.json"
    sets = tuple(speech_set.first(limit) for speech_set in find_sets(speech, names))
    noisy = tuple(in_noise(speech_set, noise, level) for speech_set in sets for noise in noises for level in levels)
    plan = Plan(sets, systems or (SYSTEMS if peers else SYSTEMS[:1]), parts, Grid(precisions, blocks, decoders), bundle, jobs, hours, noisy)
    measured, rows = [], []
    with progress_bar() as begin:
        for part in run(plan, begin):
            measured += part
            rows = add_rows(output, part)
    print_rows(measured)
    if plot:
        draw(rows, plot)
    if readme:
        update_readme(readme, rows)
    click.echo(summary(measured))


@contextlib.contextmanager
def progress_bar():
    """A bar for each part on standard error -> `begin(what, steps) -> advance`, as run() takes it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        def begin(what: str, steps: int):
            task = progress.add_task(what, total=steps)
            return lambda: progress.advance(task)
        yield begin
