"""The command line as a user meets it: help, errors in one line, exit statuses, Ctrl-C, a reader that goes away."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import asr
from asr import cli
from asr.errors import AsrError

ROOT = Path(__file__).parents[1]


def run_asr(*arguments: str) -> subprocess.CompletedProcess:
    """`python -m asr ARGUMENTS`, to its end."""
    return subprocess.run([sys.executable, "-m", "asr", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def run(monkeypatch, capsys):
    """Give the table one command `try` made of a function, run it -> exit status, standard output, standard error."""
    def run_with(function, *arguments: str):
        command = click.command(name="try")(function)
        monkeypatch.setattr(cli.CommandTable, "get_command", lambda self, ctx, name: command)
        with pytest.raises(SystemExit) as exit:
            cli.main(["try", *arguments])
        captured = capsys.readouterr()
        return exit.value.code, captured.out, captured.err
    return run_with


def test_version():
    """`asr --version` and `python -m asr` tell the package's version."""
    done = run_asr("--version")
    assert (done.returncode, done.stdout.split()[-1]) == (0, asr.__version__)


def test_help_lists_every_command():
    """`asr --help` names all commands with their line of help."""
    done = run_asr("--help")
    assert done.returncode == 0
    for name, (_, summary) in cli.COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert summary.split()[0] in done.stdout


@pytest.mark.parametrize("arguments", [["no-such-command"], ["transcribe", "--no-such-option"], ["transcribe"]])
def test_wrong_usage_is_status_2_without_traceback(arguments):
    """An unknown command or option, or a missing argument, says how it is used."""
    done = run_asr(*arguments)
    assert done.returncode == 2
    assert "Usage: asr" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_users_error_is_one_line(run):
    """An AsrError becomes `asr: TEXT` and its exit status."""
    def fail():
        raise AsrError("talk.wav: is empty; give a recording")
    assert run(fail) == (1, "", "asr: talk.wav: is empty; give a recording\n")


def test_a_failing_disk_is_one_line(run):
    """What the system refuses is told with the file's name, without a traceback."""
    def fail():
        raise OSError(28, "No space left on device", "runs/last.pt")
    assert run(fail) == (1, "", "asr: runs/last.pt: No space left on device\n")


def test_a_bug_keeps_its_traceback(monkeypatch):
    """What no user causes is not hidden behind one line."""
    command = click.command(name="try")(lambda: {}["missing"])
    monkeypatch.setattr(cli.CommandTable, "get_command", lambda self, ctx, name: command)
    with pytest.raises(KeyError):
        cli.main(["try"])


def test_a_missing_package_names_its_extra(run, monkeypatch):
    """A package that an extra brings is named with the pip line that installs it."""
    monkeypatch.setattr(cli.metadata, "requires", lambda name: ["numpy>=1.26", "some-torch==2.11.0; extra == 'train'"])

    def fail():
        import some_torch.nn  # noqa: F401  (it does not exist)
    status, _, error = run(fail)
    assert status == 1
    assert error.count("\n") == 1
    assert "pip install 'asr[train]'" in error


def test_a_command_sets_the_exit_status(run):
    """A command may end with a status of its own, as for one bad file among many."""
    def fail():
        click.get_current_context().exit(1)
    assert run(fail)[0] == 1


def test_what_a_command_returns_is_no_status(run):
    """A command that returns nothing has succeeded."""
    assert run(lambda: None)[0] == 0


def test_ctrl_c_ends_with_130_and_no_traceback():
    """Ctrl-C while a command runs ends it at once, quietly."""
    program = ("import click, time\nfrom asr import cli\n"
               "command = click.command('try')(lambda: (print('ready', flush=True), time.sleep(60)))\n"
               "cli.CommandTable.get_command = lambda self, ctx, name: command\ncli.main(['try'])")
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.strip() == ""


def test_ctrl_c_while_a_compiled_module_loads(run):
    """Such a module makes an ImportError of it: that is no bug, and ends as Ctrl-C does; any other keeps its traceback."""
    def load(cause: BaseException | None):
        raise ImportError("initialization failed") from cause
    assert run(lambda: load(KeyboardInterrupt())) == (130, "", "")
    with pytest.raises(ImportError, match="initialization failed"):
        run(lambda: load(None))


def test_a_reader_that_goes_away_is_no_error():
    """`asr ... | head -1` prints no traceback."""
    program = ("import click\nfrom asr import cli\n"
               "command = click.command('try')(lambda: [print('line', number) for number in range(100000)])\n"
               "cli.CommandTable.get_command = lambda self, ctx, name: command\ncli.main(['try'])")
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        process.stdout = None
        _, error = process.communicate(timeout=30)
    assert error == ""
    assert process.returncode == 1
