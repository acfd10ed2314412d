"""asr/processes.py: no worker outlives the process that gave it work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asr.processes import worker_pool

PROGRAM = """
import os, sys, time
from pathlib import Path
from asr.processes import worker_pool

def work(folder, number):
    Path(folder, f"{number}.pid").write_text(str(os.getpid()))
    time.sleep(0.5)

if __name__ == "__main__":
    with worker_pool(2) as pool:
        list(pool.map(work, [sys.argv[1]] * 4, range(4)))
        Path(sys.argv[1], "idle").touch()
        time.sleep(600)
"""


@pytest.mark.parametrize("busy", [True, False], ids=["working", "waiting for work"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, busy, end):
    """Whether they work or wait when it is killed, they are gone within seconds."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(program), str(tmp_path)], cwd=Path(__file__).parents[1],
                              env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    wait_until((tmp_path / ("0.pid" if busy else "idle")).exists, 60)
    time.sleep(0.1)                                                         # the file is there, and written
    workers = {int(path.read_text()) for path in tmp_path.glob("*.pid")}
    assert workers
    assert all(map(alive, workers))
    parent.send_signal(end)
    parent.wait()
    wait_until(lambda: not any(map(alive, workers)), 10)


def test_each_worker_begins_as_it_is_told(tmp_path):
    """`begin` runs in the workers, with its arguments, before any task."""
    with worker_pool(1, os.chdir, tmp_path) as pool:
        assert pool.submit(os.getcwd).result() == str(tmp_path)
    assert os.getcwd() != str(tmp_path)


def alive(process: int) -> bool:
    """Whether it runs: one that has ended may still be listed."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(done, seconds: float) -> None:
    """Raise AssertionError where `done()` is not true in time."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.05)
