"""`asr train` as a person uses it: two processes that share the work, Ctrl-C, --resume, wrong sets."""

import signal
import subprocess
import sys
import time

import pytest

from asr.training import checkpoint as checkpoints
from tests.conftest import ROOT

ENDS_S = 120


def command(tmp_path, *options):
    """The command line of a toy run on recordings/ with two processes."""
    return [sys.executable, "-m", "asr", "train", "toy", "--speech", str(ROOT), "--cache", str(tmp_path / "cache"),
            "--out", str(tmp_path / "run"), "--processes", "2", *options]


def test_two_processes_train_and_end(tmp_path):
    """Two processes run to the end of the schedule, and the checkpoint says so."""
    ended = subprocess.run(command(tmp_path, "--passes", "4"), capture_output=True, text=True, timeout=ENDS_S, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "million parameters" in ended.stdout
    assert "last.pt: the trained model" in ended.stdout
    assert checkpoints.load(tmp_path / "run" / "last.pt").progress["passes"] >= 4


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_the_run_and_resume_goes_on(tmp_path, stop):
    """Ctrl-C, or SIGTERM, writes last.pt and ends with 130 and no traceback, in the background of a script too; --resume ends the run."""
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]               # as a shell starts what it does not wait for
    process = subprocess.Popen([*background, *command(tmp_path, "--passes", "1000")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    history, started = tmp_path / "run" / "history.jsonl", time.monotonic()
    while not history.exists() and time.monotonic() - started < ENDS_S:
        time.sleep(0.2)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=ENDS_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    stopped_at = checkpoints.load(tmp_path / "run" / "last.pt").progress["step"]
    assert stopped_at > 0
    ended = subprocess.run(command(tmp_path, "--passes", "20", "--resume"), capture_output=True, text=True, timeout=ENDS_S, check=False)
    assert ended.returncode == 0, ended.stderr
    assert checkpoints.load(tmp_path / "run" / "last.pt").progress["step"] > stopped_at


@pytest.mark.parametrize(("recipe", "options", "message"), [
    ("toy", ["--speech", "no/such/folder"], "no such set"),
    ("toy", ["--speech", str(ROOT), "--resume"], "no such checkpoint"),
    ("no-such-recipe", [], "no such recipe; known ones: agree, english, further, study, toy"),
])
def test_errors_are_one_line(tmp_path, recipe, options, message):
    """A missing set, checkpoint or recipe ends with one line that says so and status 1."""
    ended = subprocess.run([sys.executable, "-m", "asr", "train", recipe, *options, "--cache", str(tmp_path / "cache"), "--out",
                            str(tmp_path / "run"), "--processes", "1"], capture_output=True, text=True, timeout=ENDS_S, check=False)
    assert ended.returncode == 1
    assert message in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
