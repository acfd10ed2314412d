"""The command `asr`: a table of commands, each loaded only when it runs, and one line for every error that a user can cause.

Nothing heavy is imported here: `asr --help` and `asr --version` answer at once, and a command's packages are needed by it alone.
Exit status: 0, an AsrError's own (1), 1 for a file or disk that fails, 2 for wrong usage, 130 after Ctrl-C.
"""

import os
import re
import sys
from importlib import import_module, metadata
from typing import NoReturn

import click

from asr import __version__
from asr.errors import AsrError, MissingExtraError

COMMANDS = {                         # name -> (where its click command is, one line of help)
    "live": ("asr.commands.live:live", "Show captions of what the microphone hears."),
    "transcribe": ("asr.commands.transcribe:transcribe", "Write down what recordings say."),
    "sessions": ("asr.commands.sessions:sessions", "List, show and export what asr live kept."),
    "check": ("asr.commands.check:check", "Tell whether this machine and its microphone will do."),
    "train": ("asr.commands.train:train", "Train a model by a recipe."),
    "compare": ("asr.commands.compare:compare", "Tell what runs have learned: error rates of their checkpoints."),
    "gather": ("asr.commands.gather:gather", "Make sets of openly licensed speech, and texts, from public repositories."),
    "review": ("asr.commands.review:review", "Find training texts that are not what is said; put them right or leave them out."),
    "synthesize": ("asr.commands.synthesize:synthesize", "Make training speech from text, in many voices."),
    "language": ("asr.commands.language:language", "Make lexicon, word pieces and n-gram from text."),
    "rescorer": ("asr.commands.rescorer:rescorer", "Train the word model that chooses among hypotheses."),
    "pronouncer": ("asr.commands.pronouncer:pronouncer", "Train the network that pronounces any word."),
    "pronounce": ("asr.commands.pronounce:pronounce", "Show how words are said."),
    "export": ("asr.commands.export:export", "Turn a checkpoint into a bundle."),
    "tune": ("asr.commands.tune:tune", "Choose a bundle's decoding weights on development sets."),
    "benchmark": ("asr.commands.benchmark:benchmark", "Measure errors, speed, latency and memory."),
}
INTERRUPTED = 130                    # 128 + SIGINT, as shells have it


class CommandTable(click.Group):
    """A group whose commands are named in COMMANDS and imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asr")
def commands() -> None:
    """Speech recognition that runs wholly on this machine.

    \b
    asr live                          captions from the microphone
    asr transcribe talk.mp3           text on standard output
    asr transcribe --format srt *.wav subtitles beside each file
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line `arguments` (default: this process's) and exit with its status."""
    try:
        status = commands.main(arguments, prog_name="asr", standalone_mode=False)
        sys.stdout.flush()           # a reader that has gone shows here, not while the interpreter ends
    except click.Abort:              # click's word for Ctrl-C
        status = INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except BrokenPipeError:          # `asr ... | head`: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (AsrError, ImportError, OSError) as error:
        if interrupted(error):
            sys.exit(INTERRUPTED)
        told = as_told(error)
        if told is None:
            raise
        click.echo(f"asr: {told}", err=True)
        status = told.exit_status
    sys.exit(status if isinstance(status, int) else 0)


def as_told(error: Exception) -> AsrError | None:
    """The error as a user should read it: a missing package or a failing file or disk in one line; None for a bug."""
    if isinstance(error, AsrError):
        return error
    if isinstance(error, ModuleNotFoundError):
        extra = extra_of(error.name or "")
        return MissingExtraError(error.name, extra) if extra else None
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return AsrError(f"{place}{error.strerror}")
    return None


def interrupted(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C: while a compiled module loads, an ImportError does."""
    return error is not None and (isinstance(error, KeyboardInterrupt) or interrupted(error.__cause__ or error.__context__))


def extra_of(module: str) -> str | None:
    """The extra of this package that brings a missing module, e.g. torch -> train; None where none does."""
    package = re.sub(r"[-_.]+", "-", module.partition(".")[0]).lower()
    try:
        requirements = metadata.requires("asr") or ()
    except metadata.PackageNotFoundError:            # run from a source tree that is not installed
        return None
    for requirement in requirements:
        found = re.match(r"""([\w.-]+).*extra == ['"]([\w-]+)""", requirement)
        if found and re.sub(r"[-_.]+", "-", found[1]).lower() == package:
            return found[2]
    return None
