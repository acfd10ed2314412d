"""`asr check`: will this machine keep up, and does the microphone hear?"""

import os
import time

import click

from asr.errors import DeviceError


@click.command(short_help="Tell whether this machine and its microphone will do.")
@click.option("--device", help="Number of an input device, its name, or a part of that. [default: the system's]")
@click.option("--seconds", type=click.FloatRange(0, 60), default=4.0, show_default=True, help="How long to listen; 0 tests no microphone.")
@click.option("--bundle", type=click.Path(), help="A bundle other than the shipped one.")
@click.pass_context
def check(ctx, device, seconds, bundle):
    """Measure the recogniser on this machine, listen to the microphone, and say what to expect and what to do.

    Status 0 where captions will keep up and the microphone delivers sound, else 1.

    \b
    asr check
    asr check --seconds 0
    asr check --device USB --seconds 10
    """
    from asr.client.models import load_models
    models = load_models(bundle)
    keeps_up = _machine(models)
    hears = _microphone(models, device, seconds) if seconds else True
    ctx.exit(0 if keeps_up and hears else 1)


def _machine(models) -> bool:
    from asr.client.check import BUSY, all_costs, chosen, clip, file_factor
    samples = clip()
    factor = file_factor(models, samples)
    click.echo(f"This machine: {os.cpu_count()} cores, acoustic model in {models.acoustic.precision}; one core is enough for what follows.")
    click.echo(f"Files: an hour of recording takes {_spoken(3600 * factor)}.")
    click.echo(f"Final text of a sentence of 5 s: {5000 * factor:.0f} ms after the pause that ends it.")
    costs = all_costs(models, samples)
    click.echo("Live:  chunk   of a core   caption at most after")
    for cost in costs:
        click.echo(f"     {cost.chunk_ms:5d} ms   {100 * cost.share:7.1f} %   {cost.shown_s:17.2f} s")
    best = chosen(costs)
    if best is None:
        click.echo("Captions will NOT keep up: every chunk length takes more than half of a core. Try asr live --decoder greedy, or "
                   "transcribe recordings.")
        return False
    option = "" if best.chunk_ms == 320 else f" --chunk-ms {best.chunk_ms}"
    sooner = "; --chunk-ms 160 shows words sooner, a few more of them wrong" if costs[0].share <= BUSY else ""
    click.echo(f"Captions will keep up: asr live{option}{sooner}.")
    return True


def _microphone(models, device, seconds: float) -> bool:
    import numpy as np

    from asr.audio import mono
    from asr.client.check import SILENT_DBFS, advice, levels, words_of
    from asr.client.microphone import Microphone
    from asr.commands.live import quiet_libraries
    with quiet_libraries() as errors:
        try:
            microphone = Microphone(device)
        except DeviceError as error:
            print(f"asr: {error}", file=errors)
            return False
        try:
            microphone.queue.wait()
            click.echo(f"Microphone: {microphone.name}, {microphone.rate_hz:g} Hz. Please speak for {seconds:g} s ...")
            blocks, ends_s = [], time.monotonic() + seconds
            while time.monotonic() < ends_s and not microphone.problem:
                blocks += [mono(block.samples) for block in microphone.queue.take(0.1)]
        finally:
            microphone.close()
    samples = np.concatenate([np.zeros(0, np.float32), *blocks])
    if len(samples) < microphone.rate_hz / 2:
        click.echo("It delivers nothing: plug it in again, or choose another: asr live --list-devices", err=True)
        return False
    heard = levels(samples, microphone.rate_hz)
    click.echo(f"Heard: speech at {heard.speech_dbfs:.0f} dB, the room at {heard.floor_dbfs:.0f} dB of full scale: {advice(heard)}.")
    click.echo(f"Words: {words_of(models, samples, microphone.rate_hz) or '(none)'}")
    return heard.speech_dbfs >= SILENT_DBFS


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
