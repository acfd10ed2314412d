"""Many recordings on the machines of a Ray cluster: each is a task, and runs again elsewhere when its process or machine dies.

What the machines share is a folder, under the same path on each: a task reads the recording there and writes its file there, whole or
not at all (files.py), so one that runs twice leaves one file. Before any work each machine is asked what it can see.
"""

import contextlib
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from asr import __version__
from asr.client.batch import Job, Settings, do_apart
from asr.client.quiet import quiet
from asr.errors import AsrError, MissingExtraError

REACH_S, CONNECT_S = 5.0, 60.0       # the address answers; Ray has connected: its client's server is a process that must start first
ANSWER_S = 120.0                     # a machine has answered: as much for its first process, and `import asr`
RETRIES = 3
TRIES = 5                            # to connect


def on_cluster(jobs: Sequence[Job], settings: Settings, address: str) -> Iterator[tuple[int, str, str]]:
    """Do the jobs on the Ray cluster at `address` (auto, HOST:PORT, ray://HOST:PORT) -> as each ends its number, text, and what is the
    matter with it, which may be that its process died RETRIES + 1 times.

    A job's process has `settings.threads` CPUs. Whoever stops half way ends the connection, and with it the cluster ends what runs for it:
    to cancel the tasks one by one kills this process where one has just begun (Ray 2.60, "Tried to complete task that was not pending").

    Raises AsrError where the cluster cannot be reached or is of other versions, where a machine lacks a file or a folder, and where the
    bundle cannot be used.
    """
    settings = replace(settings, bundle=settings.bundle and str(Path(settings.bundle).absolute()))
    jobs = [Job(job.recording.absolute(), job.target and job.target.absolute()) for job in jobs]
    with _connected(address) as ray:
        _check_machines(ray, jobs, settings)
        task = ray.remote(num_cpus=settings.threads, max_retries=RETRIES)(do_apart)
        numbers = {task.remote(settings, job): number for number, job in enumerate(jobs)}
        waiting = list(numbers)
        while waiting:
            [ended], waiting = ray.wait(waiting)
            yield numbers[ended], *_outcome(ray, ended, jobs[numbers[ended]])


def _outcome(ray: ModuleType, ended, job: Job) -> tuple[str, str]:
    """What the task of a job gave: its text, and what is the matter."""
    try:
        return ray.get(ended)
    except ray.exceptions.RayTaskError as error:             # what was raised in it
        raise error.cause from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError):
        return "", f"{job.recording}: the process that did it died {RETRIES + 1} times, as happens when memory runs out"


def _check_machines(ray: ModuleType, jobs: Sequence[Job], settings: Settings) -> None:
    """Raise AsrError unless every machine that would work has this version of asr, and sees what is here."""
    machines = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()
                if node["Alive"] and node["Resources"].get("CPU", 0) >= settings.threads}
    if not machines:
        raise AsrError(f"no machine of the cluster has {settings.threads} CPUs for this: start its workers, or ask for less --threads")
    needed = [str(job.recording) for job in jobs] + ([settings.bundle] if settings.bundle else [])
    paths = [path for path in needed if os.access(path, os.R_OK)]              # what is not here either is told as without a cluster
    with _marker(jobs) as marker:
        for machine, answer in _answers(ray, machines, paths + marker):
            if isinstance(answer, Exception):
                raise AsrError(f"{machine} of the cluster did not answer ({type(answer).__name__}): see to it, or take it out") from None
            version, missing = answer
            if version != __version__:
                raise AsrError(f"{machine} of the cluster has {f'asr {version}' if version else 'no asr'}: install asr {__version__} there")
            if missing:
                lost = os.path.dirname(missing[0]) if missing[0] in marker else missing[0]
                raise AsrError(f"{machine} of the cluster cannot see {lost}{f' and {len(missing) - 1} more' if missing[1:] else ''}: its "
                               "machines must have the recordings, and the folder to write to, under the same paths as here")


def _answers(ray: ModuleType, machines: dict[str, str], paths: list[str]) -> Iterator[tuple[str, tuple | Exception]]:
    """Each machine's name with its answer, or with why there is none. One that is dead by now is left out: it gets no work."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    task, paths = ray.remote(num_cpus=0)(_question()), ray.put(paths)
    asked = {task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(paths): node for node in machines}
    ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)
    for question, node in asked.items():
        try:
            yield machines[node], ray.get(question, timeout=0)
        except ray.exceptions.RayError as error:
            if any(each["NodeID"] == node and each["Alive"] for each in ray.nodes()):
                yield machines[node], error


def _question() -> Callable[[list[str]], tuple[str, list[str]]]:
    """Made here, so that Ray sends it as it stands, also to where asr is not installed: its version ("": none), and which paths are not
    there.
    """
    def look(paths):
        import os
        try:
            from asr import __version__ as version
        except ImportError:
            version = ""
        return version, [path for path in paths if not os.access(path, os.R_OK)]
    return look


@contextlib.contextmanager
def _marker(jobs: Sequence[Job]) -> Iterator[list[str]]:
    """A file for a moment where the jobs will write, if that is not beside the recordings: a machine's own folder of that name lacks it."""
    folders = {job.target.parent for job in jobs if job.target} - {job.recording.parent for job in jobs}
    if not folders:
        yield []
        return
    folder = os.path.commonpath(folders)
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=".asr-", dir=folder) as file:
        os.chmod(file.name, 0o644)   # the machines may work as another user
        yield [file.name]


@contextlib.contextmanager
def _connected(address: str) -> Iterator[ModuleType]:
    """Ray, connected to the cluster at `address`."""
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"              # a call after the connection is lost would start a cluster of its own
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name, "distributed") from None
    if address != "auto":
        _reach(address)
    with quiet():
        try:
            _connect(ray, address)
            yield ray
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise AsrError(f"the Ray cluster is lost ({type(error).__name__}): once it is back, run the same again; files that are "
                           "written already are not done again") from None
        finally:
            ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    except OSError as error:
        raise AsrError(f"no Ray cluster at {address}: {error.strerror or error}; check the address, and that `ray start --head` runs there"
                       ) from None


def _connect(ray: ModuleType, address: str) -> None:
    """Again where the cluster fails to start the client's server: its head forks beside gRPC's threads, and now and then what comes of it
    is dead at once (Ray 2.60: "Starting Ray client server failed", or psutil.ZombieProcess after half a minute).
    """
    for again in reversed(range(TRIES)):
        failure = _try_to_connect(ray, address)
        if failure is None:
            return
        if not (again and isinstance(failure, ConnectionAbortedError)):
            raise AsrError(f"no connection to the Ray cluster ({address}): {' '.join(str(failure).split())}") from None


def _try_to_connect(ray: ModuleType, address: str) -> Exception | None:
    """In a thread, which alone ends in time whatever it is that answers at the address -> what went wrong."""
    failed = []

    def connect():
        try:
            ray.init(address, logging_level=logging.CRITICAL, log_to_driver=False)
        except Exception as error:   # of many classes; the cause is in the text
            failed.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_S)
    if thread.is_alive():
        raise AsrError(f"no Ray cluster at {address} that answers within {CONNECT_S:.0f} s: check the address; "
                       "from a machine outside of the cluster it is ray://HOST:10001")
    return failed[0] if failed else None
