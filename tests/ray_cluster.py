"""A Ray cluster on this machine, as `ray start` makes it: a head that does no work, and two nodes of one CPU, in processes of their own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
RAY = Path(sys.executable).with_name("ray")
START_S = 300                        # a busy machine is slow; a free one takes seconds
WAIT_S = 900                         # a program that hangs; a busy machine takes minutes where a free one takes seconds
SOON_DEAD = '{"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}'


class LocalCluster:
    """Where it is, and its nodes, which can be killed."""

    def __init__(self, folder: str):
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment |= {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
        self._folder, self._started, self._ports = Path(folder), [], free_ports(2)
        self.address, self.client_address = (f"{kind}127.0.0.1:{port}" for kind, port in zip(("", "ray://"), self._ports))
        self.nodes: list[int] = []

    def start(self):
        """The head, then the nodes, one after the other."""
        self._start("--head", "--port", str(self._ports[0]), "--ray-client-server-port", str(self._ports[1]), "--num-cpus", "0",
                    "--include-dashboard", "false", "--system-config", SOON_DEAD)
        self.nodes = [self._start("--address", self.address, "--num-cpus", "1") for _ in range(2)]

    def _start(self, *arguments: str) -> int:
        """Start a node -> its session, which all its processes are in. Ray gives a node 30 s, so a busy machine may need several tries."""
        log, end_s = self._folder / f"node{len(self._started)}.log", time.monotonic() + START_S
        while True:
            with log.open("wb") as out:
                process = subprocess.Popen([RAY, "start", *arguments, "--object-store-memory", "80000000", "--min-worker-port", "0",
                                            "--max-worker-port", "0", "--disable-usage-stats", "--block"], stdout=out, stderr=out,
                                           cwd=self._folder, env=self.environment, start_new_session=True)
            self._started.append(process)
            while process.poll() is None:
                if "Ray runtime started" in log.read_text("utf-8", "replace"):
                    return process.pid
                time.sleep(0.1)
            _kill([process.pid])
            assert time.monotonic() < end_s, log.read_text("utf-8", "replace")

    def workers(self, node: int, task: str) -> list[int]:
        """The processes of a node that do a task of this name now."""
        return [pid for pid in _in_sessions([node]) if _title(pid).startswith(f"ray::{task}")]

    def stop_worker(self, node: int, task: str) -> int:
        """Wait until a process of a node does such a task, and freeze it in the middle."""
        while True:
            for pid in self.workers(node, task):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    if pid in self.workers(node, task):
                        return pid
                    os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)

    def kill(self, node: int):
        """As when a machine loses its power."""
        _kill([node])

    def close(self):
        """Leave nothing running."""
        _kill([process.pid for process in self._started])
        for process in self._started:
            process.wait()


@contextlib.contextmanager
def local_cluster() -> Iterator[LocalCluster]:
    """One that is there for a while. Its folder has a short name, for a socket's path may have no more than 107 bytes."""
    folder = tempfile.mkdtemp(prefix="asr-", dir="/tmp")
    cluster = LocalCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """That many, none of them taken."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def _kill(sessions: list[int]):
    while pids := _in_sessions(sessions):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _in_sessions(sessions: list[int]) -> list[int]:
    """The processes of these sessions that live."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _parent, _group, session = place.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) in sessions and state not in "ZX":
                found.append(int(place.name))
    return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


def begin(environment: dict, *arguments, before: str = "") -> subprocess.Popen:
    """`asr transcribe ARGUMENTS` in a process of its own, after the Python statements `before`."""
    program = f"{before}\nfrom asr.cli import main\nmain(['transcribe', *{[str(argument) for argument in arguments]!r}])"
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def ended(program: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = program.communicate(timeout=WAIT_S)
    return program.returncode, out, err
