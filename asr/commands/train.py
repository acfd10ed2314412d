"""`asr train RECIPE`: train a model, with a progress bar, or measure how fast this machine trains."""

from pathlib import Path

import click

from asr.errors import MissingExtraError

DEFAULT_RUN = "runs"


@click.command()
@click.argument("recipe")
@click.option("--speech", type=click.Path(path_type=Path), multiple=True,
              help="Folder where the recipe's sets are looked for by name; several are searched in turn.")
@click.option("--noise", type=click.Path(path_type=Path), help="Folder or tar of noise recordings to mix in, beside synthetic noise.")
@click.option("--teacher", type=click.Path(path_type=Path),
              help="Folder with Moonshine's encoder_model.onnx, for a recipe whose [loss] has `teacher`.")
@click.option("--decoder", type=click.Path(path_type=Path),
              help="Bundle whose decoder finds hypotheses, for a recipe whose [loss] has `risk`.  [default: a bundle given with --start]")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder: checkpoints, curves, TensorBoard.  [default: runs/RECIPE]")
@click.option("--cache", type=click.Path(path_type=Path), help="Where decoded audio is kept, 115 MB an hour.  [default: runs/cache]")
@click.option("--resume", is_flag=True, help="Go on from last.pt in the run folder, in the data where it stopped.")
@click.option("--start", type=click.Path(path_type=Path), help="Checkpoint or bundle whose weights and units the run begins with.")
@click.option("--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe; repeatable.")
@click.option("--passes", type=float, help="Passes over the data, instead of the recipe's.")
@click.option("--processes", type=click.IntRange(min=1), help="Processes of one thread that share each batch.  [default: one a core]")
@click.option("--benchmark", is_flag=True, help="Train nothing: print the speed of each part of a step beside this machine's limit.")
def train(recipe, speech, noise, teacher, decoder, out, cache, resume, start, changes, passes, processes, benchmark):
    """Train a model by RECIPE, one of asr/training/recipes or a TOML file.

    \b
    asr train toy                                   learns recordings/ by heart in a minute
    asr train english --speech FOLDER               the shipped model
    asr train english --speech FOLDER --speech OTHER --resume
    asr train mine.toml --start runs/english/best.pt        go on with other data
    asr train mine.toml --start asr/models/english          the same from a bundle
    asr train further --start asr/models/english --set loss.risk=10          against the word errors of the bundle's decoder
    asr train english --benchmark
    asr train study --set model.encoder=lstm --set model.layers=3 --out runs/lstm      what another value would give

    A run folder holds last.pt (every ten minutes), best.pt, history.jsonl, curves.png and tensorboard/. Ctrl-C or SIGTERM
    writes last.pt and ends the run.
    """
    import dataclasses
    import os
    import signal

    from asr.training.memory import keep_freed_memory
    keep_freed_memory()
    import torch

    from asr.training.recipe import read_recipe
    plan = read_recipe(recipe, changes)
    if passes:
        plan = dataclasses.replace(plan, optimisation=dataclasses.replace(plan.optimisation, passes=passes))
    processes = processes or (1 if torch.cuda.is_available() else len(os.sched_getaffinity(0)))
    if benchmark:
        from asr.training.throughput import benchmark_table
        click.echo(benchmark_table(plan, processes))
        return
    from asr.training.display import run_with_progress
    from asr.training.gru import compiled
    from asr.training.setup import check_decoder, check_teacher, follow, prepare
    from asr.training.team import gather
    out = out or Path(DEFAULT_RUN) / plan.name
    from_bundle = start and (start.is_dir() or start.suffix == ".asr")
    if from_bundle and plan.loss.risk:
        decoder = decoder or start
    check_teacher(plan, teacher)                                            # before there are processes that would say it too
    check_decoder(plan, decoder)
    compiled()                                                              # built once, not by every process
    if from_bundle:
        start = restored(start, out)
    for stop in (signal.SIGINT, signal.SIGTERM):                            # what a script runs in the background ignores SIGINT
        signal.signal(stop, signal.default_int_handler)
    arguments = (plan, speech, noise, cache or Path(DEFAULT_RUN) / "cache", out, resume, start, teacher, decoder)
    run_with_progress(prepare(*arguments, team=gather(processes, follow, arguments)))


def restored(bundle: Path, out: Path) -> Path:
    """Write the weights of a bundle into the run folder as start.pt, which every process of the run reads -> its path."""
    from asr.bundle import load_bundle
    from asr.training.checkpoint import save
    try:
        from export.restore import checkpoint_of
    except ImportError as error:
        raise MissingExtraError(error.name, "export") from None
    held = checkpoint_of(load_bundle(bundle))
    out.mkdir(parents=True, exist_ok=True)
    save(held, out / "start.pt")
    return out / "start.pt"
