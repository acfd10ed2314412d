"""`asr transcribe FILES`: what recordings say, as text on standard output or as subtitle files."""

import re
from contextlib import closing
from pathlib import Path

import click

from asr.errors import AudioError
from asr.subtitles import FORMATS


class Address(click.ParamType):
    """Where a Ray cluster is."""

    name = "address"

    def convert(self, value, param, ctx):
        """The text as it is."""
        found = re.fullmatch(r"(ray://)?(\[[\da-fA-F:.]+\]|[^\s:/]+):(\d{1,5})", value)
        if value != "auto" and not (found and int(found[3]) < 65536):
            self.fail(f"{value!r} is not auto, HOST:PORT or ray://HOST:PORT, as in ray://head:10001.", param, ctx)
        return value


@click.command(short_help="Write down what recordings say.")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="txt", show_default=True, help="What to write.")
@click.option("--output-dir", type=click.Path(file_okay=False), help="Folder for the written files. [default: beside each recording]")
@click.option("--again", is_flag=True, help="Also where the written file is there already and newer than the recording.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Recordings done at once, each by a process.")
@click.option("--ray", "address", type=Address(), help="Do them on this Ray cluster (extra distributed): auto, HOST:PORT or ray://HOST:PORT.")
@click.option("--decoder", type=click.Choice(["beam", "greedy"]), default="beam", show_default=True, help="Greedy is quicker and worse.")
@click.option("--own-words", type=click.Path(path_type=Path), metavar="FILE", help="Your names and terms, one a line, as told above.")
@click.option("--all-words", is_flag=True, help="Also those of what is likelier noise than speech.")
@click.option("--bundle", type=click.Path(), help="A bundle other than the shipped one.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads of the acoustic model.")
@click.option("--precision", type=click.Choice(["auto", "int8", "float"]), default="auto", show_default=True, help="Of the acoustic model.")
@click.pass_context
def transcribe(ctx, files, form, output_dir, again, jobs, address, decoder, own_words, all_words, bundle, threads, precision):
    """Write down what recordings say: wav, flac, mp3, ogg, opus; with ffmpeg installed also m4a, mp4, mkv and others; of any length.

    Text goes to standard output, a line until each long pause, behind the file's name when there are several. Other formats,
    and text with --output-dir, go to files named like the recordings; what is written already is left as it is, so the same command
    goes on after a stop. A folder stands for all recordings in it and below. A bad file does not stop the others.

    --own-words takes a text file: a name, term or phrase a line, which is then understood though the lexicon lacks it, or more willingly
    if it does not. How one is said can be told, `Szczecin = SH CH EH CH IH N` (ARPAbet); `asr pronounce WORD` shows what is taken else.

    With --ray the machines of a cluster that runs already share the files, one for each CPU (or each --threads of them). They need this
    version of asr, and the recordings and the folder written to under the same paths, as on a network drive. What a machine that dies
    had begun is done by another.

    \b
    asr transcribe talk.mp3
    asr transcribe --format srt *.wav
    asr transcribe --format srt --jobs 4 Videos/
    asr transcribe --format json --output-dir texts talk.mp3 lecture.flac
    asr transcribe --format srt --ray ray://head:10001 /archive
    asr transcribe --own-words names.txt meeting.mp3
    """
    if address and jobs > 1:
        raise click.UsageError("--ray does as many recordings at once as the cluster has CPUs: leave --jobs out")
    from asr.client.batch import Settings, make_jobs
    from asr.commands.progress import Progress
    from asr.decoding.own_words import read_list
    work = make_jobs([Path(file) for file in files], form, Path(output_dir) if output_dir else None)
    left = [job for job in work if again or not job.is_done]
    settings = Settings(bundle, decoder, precision, threads, all_words, read_list(own_words) if own_words else ())
    progress, several, bad = Progress(), len(work) > 1, 0
    if left and address:
        from asr.client.cluster import on_cluster
        bad = _at_once(left, on_cluster(left, settings, address), progress, several)
    elif jobs > 1 and len(left) > 1:
        from asr.client.batch import in_processes
        bad = _at_once(left, in_processes(left, settings, min(jobs, len(left))), progress, several)
    elif left:
        bad = _one_by_one(left, settings, progress, several)
    if left != work:
        click.echo(f"asr: {len(work) - len(left)} of {len(work)} files were written already; --again writes them anew", err=True)
    if bad and len(left) > 1:
        click.echo(f"asr: {bad} of {len(left)} files could not be read, or not to their end", err=True)
    ctx.exit(1 if bad else 0)


def _one_by_one(work, settings, progress, several: bool) -> int:
    """In this process, text as it is recognised -> how many files were bad."""
    from dataclasses import asdict

    from asr.client.batch import do
    from asr.client.recognizer import Recognizer
    recognizer, bad = Recognizer(**asdict(settings)), 0
    for number, job in enumerate(work, 1):
        name = f"{number}/{len(work)} {job.recording}" if len(work) > 1 else str(job.recording)

        def follow(audio, name=name):
            return progress.over(audio, audio.rate_hz, audio.duration_s, name)

        try:
            if job.target is None:
                _to_screen(recognizer, job.recording, progress, follow, f"{job.recording}: " if several else "")
            else:
                _, problem = do(recognizer, job, follow)
                if problem:
                    bad += _complain(problem, progress)
        except AudioError as error:
            bad += _complain(str(error), progress)
    return bad


def _at_once(work, ended, progress, several: bool) -> int:
    """Done elsewhere, `ended` says in which order; text in that of `work` -> how many files were bad."""
    from asr.client.batch import in_order
    bad = 0
    bar = progress.of_files([job.recording for job in work])
    with closing(ended):
        for job, text, problem in in_order(work, ended, lambda job: bar(job.recording)):
            progress.clear()
            if text:
                click.echo("".join(f"{job.recording}: {line}\n" if several else f"{line}\n" for line in text.splitlines()), nl=False)
            if problem:
                bad += _complain(problem, progress)
    progress.clear()
    return bad


def _complain(problem: str, progress) -> int:
    progress.clear()
    click.echo(f"asr: {problem}", err=True)
    return 1


def _to_screen(recognizer, path: Path, progress, follow, prefix: str):
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
            for final in recognizer.recognise(follow(audio), audio.rate_hz):
                for word in final.words:
                    if words and word.start_s - words[-1].end_s >= PARAGRAPH_PAUSE_S:
                        print_line()
                    words.append(word)
        finally:                     # also when the user stops it or the file is damaged: what is recognised is shown
            print_line()
