"""`asr transcribe FILES`: what recordings say, as text on standard output or as subtitle files."""

import os
from pathlib import Path

import click

from asr.errors import AsrError, AudioError
from asr.subtitles import FORMATS


@click.command(short_help="Write down what recordings say.")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="txt", show_default=True, help="What to write.")
@click.option("--output-dir", type=click.Path(file_okay=False), help="Folder for the written files. [default: beside each recording]")
@click.option("--decoder", type=click.Choice(["beam", "greedy"]), default="beam", show_default=True, help="Greedy is quicker and worse.")
@click.option("--bundle", type=click.Path(), help="A bundle other than the shipped one.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of the acoustic model.")
@click.option("--precision", type=click.Choice(["auto", "int8", "float"]), default="auto", show_default=True, help="Of the acoustic model.")
@click.pass_context
def transcribe(ctx, files, form, output_dir, decoder, bundle, threads, precision):
    """Write down what recordings say: wav, flac, mp3, ogg, opus; with ffmpeg installed also m4a, mp4 and others; of any length.

    Text goes to standard output, a line until each long pause, behind the file's name when there are several. Other formats,
    and text with --output-dir, go to files named like the recordings. A bad file does not stop the others.

    \b
    asr transcribe talk.mp3
    asr transcribe --format srt *.wav
    asr transcribe --format json --output-dir texts talk.mp3 lecture.flac
    """
    from asr.client.recognizer import Recognizer
    from asr.commands.progress import Progress
    targets = _targets([Path(file) for file in files], form, output_dir)
    recognizer = Recognizer(bundle, decoder, precision, threads)
    progress, bad = Progress(), 0
    for path, target in targets:
        prefix = f"{path}: " if len(targets) > 1 else ""
        try:
            if target is None:
                _to_screen(recognizer, path, progress, prefix)
            else:
                _to_file(recognizer, path, target, progress)
        except AudioError as error:
            progress.clear()
            click.echo(f"asr: {error}", err=True)
            bad += 1
    if bad and len(targets) > 1:
        click.echo(f"asr: {bad} of {len(targets)} files could not be read, or not to their end", err=True)
    ctx.exit(1 if bad else 0)


def _targets(files: list[Path], form: str, output_dir: str | None) -> list[tuple[Path, Path | None]]:
    """Each recording with the file to write, or None for standard output. Raises AsrError when two would write the same."""
    if form == "txt" and output_dir is None:
        return [(path, None) for path in files]
    targets: dict[Path, Path] = {}
    for path in files:
        target = (Path(output_dir) if output_dir else path.parent) / f"{path.stem}.{form}"
        if target in targets:
            raise AsrError(f"{targets[target]} and {path} would both be written to {target}; do them apart, with --output-dir")
        targets[target] = path
    if output_dir:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
    return [(path, target) for target, path in targets.items()]


def _to_screen(recognizer, path: Path, progress, prefix: str):
    """Print a line for each stretch between long pauses as soon as it is recognised."""
    from asr.audio import open_audio
    from asr.subtitles import PARAGRAPH_PAUSE_S
    words = []

    def print_line():
        if words:
            progress.clear()
            click.echo(prefix + " ".join(word.text for word in words))
            words.clear()

    with open_audio(path) as audio:
        try:
            for final in recognizer.recognise(progress.over(audio, audio.rate_hz, audio.duration_s, str(path)), audio.rate_hz):
                for word in final.words:
                    if words and word.start_s - words[-1].end_s >= PARAGRAPH_PAUSE_S:
                        print_line()
                    words.append(word)
        finally:                     # also when the user stops it or the file is damaged: what is recognised is shown
            print_line()


def _to_file(recognizer, path: Path, target: Path, progress):
    """Write `target` in one go at the end, so that it is never half a file; also when the recording is damaged part way."""
    from asr.audio import open_audio
    words, damage = [], None
    with open_audio(path) as audio:
        try:
            for final in recognizer.recognise(progress.over(audio, audio.rate_hz, audio.duration_s, str(path)), audio.rate_hz):
                words += final.words
        except AudioError as error:
            if not words:
                raise
            damage = error
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_text(FORMATS[target.suffix[1:]](words), encoding="utf-8", newline="\n")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    if damage:
        raise damage
