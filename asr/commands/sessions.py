"""`asr sessions`: what `asr live` kept: list, show, export, and transcribe once more what was recorded."""

from datetime import timedelta
from pathlib import Path

import click

from asr.errors import AsrError
from asr.subtitles import FORMATS


@click.group(invoke_without_command=True, short_help="List, show and export what asr live kept.")
@click.option("--sessions", "folder", type=click.Path(file_okay=False), help="Folder of session files. [default: the user's]")
@click.pass_context
def sessions(ctx, folder):
    """List the sessions that `asr live` kept, or do something with one: NAME is its name, the beginning of one, or `last`.

    \b
    asr sessions
    asr sessions show last
    asr sessions export 2026-11-25 --format srt > talk.srt
    asr sessions retranscribe last --bundle better.asr
    """
    from asr.client.session import sessions_folder
    ctx.obj = Path(folder) if folder else sessions_folder()
    if ctx.invoked_subcommand is None:
        _list(ctx.obj)


def _list(folder: Path):
    from asr.client.session import find_sessions, read_session
    paths, unreadable = find_sessions(folder), []
    if not paths:
        click.echo(f"no sessions in {folder}; asr live keeps what it hears from a microphone", err=True)
    for path in paths:
        try:
            session = read_session(path)
        except AsrError as error:
            unreadable.append(error)
            continue
        length = timedelta(seconds=round(session.finals[-1].end_s)) if session.finals else timedelta()
        marks = len(session.marks_s)
        notes = ["recorded"] * bool(session.audio) + [f"{marks} mark{'s' * (marks > 1)}"] * bool(marks)
        notes += ["cut off, or still running"] * (session.ended is None)
        note = f"  ({'; '.join(notes)})" if notes else ""
        click.echo(f"{session.name}  {length!s:>8}  {len(session.words):6d} words  {session.source}{note}")
    for error in unreadable:
        click.echo(f"asr: {error}", err=True)
    if unreadable:
        raise click.exceptions.Exit(1)


def _read(folder: Path, name: str):
    """The session, with a line to the user about what in it cannot be read."""
    from asr.client.session import find_session, read_session
    session = read_session(find_session(folder, name))
    if session.damaged:
        click.echo(f"asr: {session.path}: {session.damaged} damaged line(s) left out", err=True)
    return session


@sessions.command(short_help="Print a session with the time of each utterance.")
@click.argument("name", default="last")
@click.pass_obj
def show(folder, name):
    """Print the session NAME, a line for each utterance and each mark behind the time of it.

    \b
    asr sessions show
    asr sessions show 2026-11-25-0941
    """
    session = _read(folder, name)
    started = session.started.astimezone()
    lines = [(final.start_s, final.text) for final in session.finals] + [(mark_s, "* marked") for mark_s in session.marks_s]
    for at_s, text in sorted(lines, key=lambda line: line[0]):
        click.echo(f"{started + timedelta(seconds=at_s):%H:%M:%S}  {text}")


@sessions.command(short_help="Write a session as text or subtitles.")
@click.argument("name", default="last")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="txt", show_default=True, help="What to write.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write. [default: standard output]")
@click.pass_obj
def export(folder, name, form, output):
    """Write the session NAME as text, subtitles or words with times.

    \b
    asr sessions export last --format srt --output talk.srt
    asr sessions export 2026-11-25-0941 --format json
    """
    content = FORMATS[form](_read(folder, name).words)
    if output is None:
        click.echo(content, nl=False)
        return
    from asr.files import write_whole
    write_whole(output, content)


@sessions.command(short_help="Recognise the recorded sound of a session once more.")
@click.argument("name", default="last")
@click.option("--bundle", type=click.Path(), help="A bundle other than the shipped one.")
@click.option("--decoder", type=click.Choice(["beam", "greedy"]), default="beam", show_default=True, help="Greedy is quicker and worse.")
@click.option("--own-words", type=click.Path(path_type=Path), metavar="FILE", help="Your names and terms, as in asr transcribe --help.")
@click.pass_obj
def retranscribe(folder, name, bundle, decoder, own_words):
    """Recognise what `asr live --record` recorded in the session NAME with full context, as a session of its own beside it.

    The first session stays as it is. The new one has its times, so both export alike.

    \b
    asr sessions retranscribe last --bundle better.asr
    asr sessions retranscribe last --own-words names.txt
    """
    from asr.client.recognizer import Recognizer
    from asr.client.recording import read_parts
    from asr.client.session import SessionFile
    from asr.commands.progress import Progress
    from asr.config import RATE_HZ
    from asr.decoding.own_words import read_list
    own = read_list(own_words) if own_words else ()
    session = _read(folder, name)
    if not session.audio:
        raise AsrError(f"the session {session.name} has no recorded sound; asr live --record keeps it")
    recognizer = Recognizer(bundle, decoder, own_words=own)
    blocks = read_parts(session.audio)
    duration_s = session.finals[-1].end_s if session.finals else None
    again = SessionFile(session.path.parent, f"{session.name} once more", recognizer.models.acoustic.bundle.name,
                        lambda text: click.echo(text, err=True), started=session.started)
    for final in recognizer.recognise(Progress().over(blocks, RATE_HZ, duration_s, session.name), RATE_HZ):
        again.add(final)
    again.close()
    if again.path is None:
        raise AsrError(f"no words were found in the sound of the session {session.name}")
    click.echo(again.path.stem)
