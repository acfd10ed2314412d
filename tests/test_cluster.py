"""`asr transcribe --ray`: the same files from a cluster as from this process, whatever dies; and what is wrong, in one line.

The cluster is a real one (ray_cluster.py), the model the one that ships, the recordings are those of the repository.
"""

import os
import re
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asr import __version__
from asr.cli import commands
from tests.ray_cluster import WAIT_S, LocalCluster, begin, ended, free_ports, local_cluster

TASK = "do_apart"


@pytest.fixture(scope="module")
def cluster():
    """A head and two nodes; one test kills one of them, each other needs one alone."""
    with local_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def archive(tmp_path_factory, recordings) -> Path:
    """A folder of four clips, and of two longer recordings that are made of the others."""
    folder = tmp_path_factory.mktemp("archive")
    short, long = (clips := sorted(recordings.glob("*.opus")))[:4], clips[4:]
    for clip in short:
        shutil.copy(clip, folder)
    sounds = [soundfile.read(clip, dtype="float32")[0] for clip in long]
    for number in range(2):
        soundfile.write(folder / f"long{number}.flac", np.concatenate(sounds[number:] + sounds[:number]), 16_000)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """All that lies in a folder, by its name."""
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def test_a_process_and_a_machine_that_die(cluster: LocalCluster, archive, tmp_path):
    """A process is killed at its work, then a whole node: each file is there once, as without a cluster, and nothing is printed."""
    first, second = cluster.nodes
    program = begin(cluster.environment, "--format", "srt", "--output-dir", tmp_path / "cluster", "--ray", cluster.address, archive)
    os.kill(cluster.stop_worker(first, TASK), signal.SIGKILL)
    cluster.stop_worker(second, TASK)
    cluster.kill(second)
    assert ended(program) == (0, "", "")
    plain = begin(cluster.environment, "--format", "srt", "--output-dir", tmp_path / "plain", archive)
    assert ended(plain) == (0, "", "")
    assert len(texts(tmp_path / "plain")) == 6
    assert texts(tmp_path / "cluster") == texts(tmp_path / "plain")
    assert all(texts(tmp_path / "plain").values())


def test_text_from_afar(cluster, archive, tmp_path):
    """From a machine outside of the cluster: text in the order of the files, a line for a bad one, the status that says so."""
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    first, second = sorted(archive.glob("*.opus"))[:2]
    plain, far = (ended(begin(cluster.environment, *cluster_or_not, second, bad, first))
                  for cluster_or_not in ((), ("--ray", cluster.client_address)))
    assert far == plain
    assert (far[0], far[1].count(f"{second}: "), far[1].count(f"{first}: ")) == (1, 1, 1)
    assert far[2].startswith(f"asr: {bad}: ")


def test_a_head_that_fails_to_start_the_clients_server(cluster, archive):
    """As Ray's does now and then when it forks: the connection is tried again, and no word is said of it."""
    before = """
import ray
init, failures = ray.init, [1, 2]
def fail(*given, **named):
    if failures and failures.pop():
        raise ConnectionAbortedError("Initialization failure from server:\\nRuntimeError: Starting Ray client server failed.")
    return init(*given, **named)
ray.init = fail
"""
    clip = min(archive.glob("*.opus"))
    plain, far = (ended(begin(cluster.environment, *cluster_or_not, clip, before=before))
                  for cluster_or_not in ((), ("--ray", cluster.client_address)))
    assert far == plain
    assert (plain[0], plain[2]) == (0, "")


def test_an_interrupt(cluster, archive, tmp_path):
    """Ctrl-C: what is done stays, whole; what runs ends, and nothing of it is left; the status is 130."""
    program = begin(cluster.environment, "--format", "srt", "--output-dir", tmp_path, "--ray", "auto", archive)
    while not list(tmp_path.glob("*.srt")):
        assert program.poll() is None, program.communicate()
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    status, out, err = ended(program)
    assert (status, out, err.strip()) == (130, "", "")       # click ends the line that has ^C
    end_s = time.monotonic() + WAIT_S
    while any(cluster.workers(node, TASK) for node in cluster.nodes):
        assert time.monotonic() < end_s
        time.sleep(0.1)
    assert 0 < len(texts(tmp_path)) < 6
    assert all(name.endswith(".srt") and text.endswith("\n") for name, text in texts(tmp_path).items())


def test_a_file_that_the_machines_do_not_see(cluster, archive, tmp_path):
    """It is told in one line before any work, as is a folder to write to that is not the same there."""
    shutil.copy(next(archive.glob("*.opus")), tmp_path / "here.opus")
    inside = f"import os; os.chdir({str(tmp_path)!r})"       # and /proc/self/cwd is another folder for each process
    for arguments, path in ((("/proc/self/cwd/here.opus",), "/proc/self/cwd/here.opus"),
                            (("--output-dir", "/proc/self/cwd", tmp_path / "here.opus"), "/proc/self/cwd")):
        status, out, err = ended(begin(cluster.environment, "--ray", cluster.address, *arguments, before=inside))
        assert (status, out) == (1, "")
        assert re.fullmatch(rf"asr: \S+ of the cluster cannot see {path}: its machines must have the recordings, .*\n", err), err
    assert sorted(os.listdir(tmp_path)) == ["here.opus"]


@pytest.mark.parametrize(("before", "told"), [
    ("import asr; asr.__version__ = '99'", rf"asr: \S+ of the cluster has asr {re.escape(__version__)}: install asr 99 there\n"),
    ("import ray; ray.__version__ = '1.0'", r"asr: no connection to the Ray cluster \(.*\): Version mismatch: .* Ray: 1\.0 .*\n"),
])
def test_a_cluster_of_other_versions(cluster, archive, before, told):
    """It is refused in one line that has both versions."""
    status, out, err = ended(begin(cluster.environment, "--ray", cluster.address, archive, before=before))
    assert (status, out) == (1, "")
    assert re.fullmatch(told, err), err


def test_no_bundle_there(cluster, archive, tmp_path):
    """What is wrong with the bundle is told as without a cluster."""
    for place in ((), ("--ray", cluster.address)):
        status, out, err = ended(begin(cluster.environment, *place, "--bundle", tmp_path / "absent", archive))
        assert (status, out) == (1, "")
        assert err == f"asr: no bundle at {tmp_path / 'absent'}: check the path (a folder with bundle.json, or an .asr file)\n"


@pytest.mark.parametrize("kind", ["", "ray://"])
def test_nobody_at_the_address(archive, kind):
    """It is told in one line, at once."""
    address = f"{kind}127.0.0.1:{free_ports(1)[0]}"
    status, out, err = ended(begin(dict(os.environ), "--ray", address, archive))
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"asr: no Ray cluster at {address}: Connection refused; .*\n", err), err


def test_something_else_at_the_address(archive):
    """A server that is no cluster, or one that is stuck, is waited for so long and no longer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        program = begin(dict(os.environ), "--ray", address, archive, before="import asr.client.cluster as c; c.CONNECT_S = 1.0")
        status, out, err = ended(program)
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"asr: no Ray cluster at {address} that answers within 1 s: .*\n", err), err


def test_without_the_extra(archive):
    """The one line says how to install it."""
    program = begin(dict(os.environ), "--ray", "auto", archive, before="import sys; sys.modules['ray'] = None")
    assert ended(program) == (1, "", "asr: the package ray is not installed; it comes with: pip install 'asr[distributed]'\n")


@pytest.mark.parametrize("arguments", [["--ray", "head"], ["--ray", "http://head:1"], ["--ray", "head:70000"],
                                       ["--ray", "auto", "--jobs", "2"]])
def test_wrong_usage(arguments):
    """What is no address is refused, and --jobs, which the cluster's CPUs stand for."""
    done = CliRunner().invoke(commands, ["transcribe", *arguments, "talk.mp3"])
    assert done.exit_code == 2
    assert "--ray" in done.stderr
