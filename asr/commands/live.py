"""`asr live`: captions of what the microphone hears, or of a file at speaking pace."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import click

from asr.config import LATENCIES
from asr.errors import DeviceError

HOST, PORT = "127.0.0.1", 8765       # of the caption page


@click.command(short_help="Show captions of what the microphone hears.")
@click.option("--device", "devices", multiple=True,
              help="Number of an input device, its name, or a part of that; several, each with --device, are heard together. "
                   "[default: the system's]")
@click.option("--list-devices", is_flag=True, help="List the input devices and end.")
@click.option("--input", "recording", type=click.Path(), help="Caption this file at speaking pace, not a microphone.")
@click.option("--or-recording", "fallback", type=click.Path(), help="Caption this file when there is no microphone.")
@click.option("--keep/--no-keep", default=None, help="Write the captions to a session file as they come. [default: those of a microphone]")
@click.option("--record", is_flag=True, help="Keep the sound beside them, as FLAC.")
@click.option("--sessions", type=click.Path(file_okay=False), help="Folder of session files. [default: the user's]")
@click.option("--web", is_flag=True, help="Show captions on a page for browsers, too.")
@click.option("--host", help="Address it is served at; where other machines reach it, a token is needed. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Its port; 0 is any that is free. [default: 8765]")
@click.option("--plain", is_flag=True, help="A line for each utterance, as in a pipe, not the view over the whole terminal.")
@click.option("--doubts/--no-doubts", default=True, help="In that view, mark the words that are rather wrong. [default: marked]")
@click.option("--steady", is_flag=True, help="Show a word only once it is settled: a second later, not changed before its final.")
@click.option("--chunk-ms", type=click.Choice([str(ms) for ms in LATENCIES]), default="320", show_default=True,
              help="Sound recognised at once: less shows words sooner, more is more often right.")
@click.option("--decoder", type=click.Choice(["beam", "greedy"]), default="beam", show_default=True, help="Greedy is quicker and worse.")
@click.option("--own-words", type=click.Path(path_type=Path), metavar="FILE", help="Your names and terms, one a line, as told above.")
@click.option("--all-words", is_flag=True, help="Also those of what is likelier noise than speech.")
@click.option("--bundle", type=click.Path(), help="A bundle other than the shipped one.")
@click.option("--precision", type=click.Choice(["auto", "int8", "float"]), default="auto", show_default=True, help="Of the acoustic model.")
def live(devices, list_devices, recording, fallback, keep, record, sessions, web, host, port, plain, doubts, steady, chunk_ms, decoder,
         own_words, all_words, bundle, precision):
    """Show captions of what the microphone hears, until Ctrl-C.

    On a terminal, words that may still change are underlined until they are settled, and keys scroll back, pause, mark, save and quit:
    ? lists them. In a pipe there is a line for each final. Finals of a microphone are also kept, each before it is shown: asr
    sessions lists, shows and exports them. Two devices, a microphone and what the computer plays, caption both sides of a call.

    --own-words takes a text file: a name, term or phrase a line; asr transcribe --help tells how.

    \b
    asr live
    asr live --list-devices
    asr live --device "USB Audio" --chunk-ms 640
    asr live --device "USB Audio" --device "Monitor of Speakers"
    asr live --record
    asr live --web
    asr live --own-words names.txt
    asr live --input talk.flac | tee talk.txt
    """
    with quiet_libraries() as errors:
        if list_devices:
            from asr.client.microphone import input_devices
            for found in input_devices():
                click.echo(str(found))
            return
        from asr.decoding.own_words import read_list
        if (host or port is not None) and not web:
            raise click.UsageError("--host and --port are about the page of --web")
        with contextlib.closing(_page(host, port)) if web else contextlib.nullcontext() as page:
            _caption(devices, recording, fallback, Kept(keep, record, sessions), View(plain, doubts, steady), page, int(chunk_ms),
                     {"bundle": bundle, "decoder": decoder, "precision": precision, "all_words": all_words,
                      "own_words": read_list(own_words) if own_words else ()}, errors)


@dataclass(frozen=True)
class Kept:
    """What of a session is kept: captions (None: a microphone's), sound, and in which folder (None: the user's)."""

    captions: bool | None
    sound: bool
    folder: str | None


@dataclass(frozen=True)
class View:
    """How captions are shown: by lines even on a terminal, with doubted words marked, with settled words alone."""

    plain: bool
    doubts: bool
    steady: bool


def _page(host, port):
    """The page's server, which has its port from now on: what is wrong with that is told before anything is loaded."""
    from asr.client.server import CaptionServer
    return CaptionServer(host or HOST, PORT if port is None else port)


def _caption(devices, recording, fallback, kept, view, page, chunk_ms, models, errors):
    """Open the source, which records from then on, while the `models` (arguments of load_models) load; then caption it."""
    from asr.client.requests import Requests, Stop
    requests, stop = Requests(), Stop()
    display = _display(view, requests, stop, errors)

    def open_source():
        from asr.client.playback import Playback
        if recording:
            return Playback(recording)
        from asr.client.microphone import Microphone
        from asr.client.mix import Mix
        try:
            return Mix(devices) if len(devices) > 1 else Microphone(*devices)
        except DeviceError as error:
            if not fallback:
                raise
            display.remark(f"asr: {error}")
            display.remark(f"captions of {fallback} instead:")
            return Playback(fallback)

    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_source)
        try:
            from asr.client.models import load_models
            from asr.client.recognizer import StreamingRecognizer
            models = load_models(**models)
            source = opening.result()
        except BaseException:
            with contextlib.suppress(Exception):
                opening.result().close()
            raise
    from asr.client import worker
    recognizer = StreamingRecognizer(chunk_ms=chunk_ms, sample_rate=source.rate_hz, models=models)
    try:
        screens = (page, display) if page else (display,)    # the page's viewers have their end whatever the terminal does
        outputs = _outputs(kept, source, screens, view.steady, models.acoustic.bundle.name, chunk_ms)
    except BaseException:
        source.close()
        raise
    previous = {number: signal.signal(number, ask) for number, ask in _signals(stop).items()}
    with contextlib.ExitStack() as ending:                   # the last first, each whatever the others do
        for number, handler in previous.items():
            ending.callback(signal.signal, number, handler)
        for opened in (outputs, source, display):            # the terminal is given back before all else
            ending.callback(opened.close)
        source.queue.wait()
        display.remark(f"ready in {since_start_s():.1f} s, listening to {source.name}; Ctrl-C ends")
        if page:
            page.start(source.started)
            display.remark(f"captions at {page.address}{'' if page.is_private else ' (not encrypted: for networks that you trust)'}")
        worker.run(source, recognizer, outputs, stop, requests)


def _signals(stop):
    """What is done at which signal. A window that is closed may send its own twice, and after its view has failed: that asks once.

    Under nohup it goes on.
    """
    asks = {signal.SIGINT: stop.set, signal.SIGTERM: stop.set}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:                # Windows has none
        asks[signal.SIGHUP] = stop.ask
    return asks


def _display(view, requests, stop, errors):
    """The view over the whole terminal where there is one, else lines."""
    from asr.client.full_screen import usable
    if usable() and not view.plain:
        from asr.client.terminal import Terminal
        return Terminal(requests, stop, errors, view.doubts)
    from asr.client.display import Display
    return Display(err=errors)


def _outputs(kept, source, screens, steady, bundle_name, chunk_ms):
    """The screens, and what is kept. Raises AsrError where the sound was asked for and cannot be kept."""
    from asr.client.playback import Playback
    from asr.client.worker import Outputs
    shown = Outputs(screens, steady=steady)
    if not kept.sound and (kept.captions is False or (kept.captions is None and isinstance(source, Playback))):
        return shown
    from asr.client.session import SessionFile, sessions_folder
    folder = Path(kept.folder) if kept.folder else sessions_folder()
    session = SessionFile(folder, source.name, bundle_name, shown.remark, chunk_ms, source.started)
    if not kept.sound:
        return replace(shown, session=session)
    from asr.client.recording import Recording
    session.begin()
    return replace(shown, session=session, recording=Recording(session, source.rate_hz, shown.remark))


def since_start_s() -> float:
    """Seconds since this process started, Python's own start included where the system tells it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        started_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - started_ticks / os.sysconf("SC_CLK_TCK")
    return time.process_time()


@contextlib.contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """Lets this program's own lines through to standard error, on the stream that is given, and not those that the C libraries
    of the sound system write there on their own (several a fault).
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:                  # closed: nothing to keep quiet
        yield sys.stderr
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    python_stderr = sys.stderr
    with os.fdopen(kept, "w", encoding="utf-8", errors="replace", buffering=1) as errors:
        sys.stderr = errors
        try:
            yield errors
        finally:
            sys.stderr = python_stderr
            os.dup2(kept, 2)
