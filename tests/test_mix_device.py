"""Two real devices at once: what the computer plays, as its sound server's monitor has it, and a headset that hears something else."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asr.bundle import DEFAULT
from asr.text import normalise
from tests.sound_server import SoundServer, missing
from tests.test_live import next_told, patience, told

ROOT = Path(__file__).parents[1]
THERE, HERE = "2803-154320-0005", "2428-83699-0002"          # rows of recordings.tsv that the shipped model hears well
LIVE = [sys.executable, "-m", "asr", "live", "--device", "played", "--device", "headset"]


@pytest.fixture
def headset():
    """A sound server whose microphone is the device `headset` of the other one."""
    if missing():
        pytest.skip(f"needs a sound server: apt install {missing()}")
    with SoundServer() as running:
        yield running


@pytest.fixture
def computer(headset):
    """A sound server with the devices `headset` and `played`: what its own loudspeaker plays."""
    with SoundServer({"played": (None, "@DEFAULT_MONITOR@"), "headset": (headset, "microphone")}) as running:
        yield running


@pytest.fixture
def live(computer, tmp_path):
    """`asr live` with both, ready to hear; it is ended when the test leaves it running."""
    if not DEFAULT.is_dir():
        pytest.skip("needs the shipped bundle asr/models/english")
    with subprocess.Popen([*LIVE, "--sessions", tmp_path], env=computer.environment, cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as program:
        try:
            with patience(program):
                assert re.match("ready in .*, listening to played and headset; Ctrl-C ends", next_told(program.stderr))
            yield program
        finally:
            program.kill()


def test_the_words_of_both_devices(live, computer, headset, recordings, tmp_path):
    """What is played and what the headset hears are in the same captions, and in the same session."""
    rows = [line.split("\t") for line in (recordings / "recordings.tsv").read_text("utf-8").splitlines()]
    spoken = {row[0]: set(normalise(row[-1]).split()) for row in rows}
    found = ""
    for utterance, server in ((THERE, computer), (HERE, headset)):
        server.play(recordings / f"{utterance}.opus")
        with patience(live):
            found += live.stdout.readline()                  # its final, after the pause that follows
    live.send_signal(signal.SIGINT)
    out, err = live.communicate(timeout=60)
    assert (live.returncode, told(err)) == (0, [])
    heard = set((found + out).split())
    assert len(heard & spoken[THERE]) >= 0.6 * len(spoken[THERE])
    assert len(heard & spoken[HERE]) >= 0.6 * len(spoken[HERE])
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_device_that_goes_and_comes_back(live, computer, headset, recordings):
    """The other one's captions go on without it; it is taken up again by itself. Each time a line says what is heard."""
    headset.kill()
    with patience(live):
        assert next_told(live.stderr) == "listening to played, without headset\n"
    computer.play(recordings / f"{THERE}.opus")
    with patience(live):
        assert live.stdout.readline().strip()
    headset.restart()
    with patience(live):
        assert next_told(live.stderr) == "listening to played and headset\n"
    headset.play(recordings / f"{HERE}.opus")
    with patience(live):
        assert live.stdout.readline().strip()
    live.send_signal(signal.SIGINT)
    _out, err = live.communicate(timeout=60)
    assert (live.returncode, told(err)) == (0, [])


def test_a_device_by_two_names(computer):
    """It is refused in one line, not opened twice."""
    program = subprocess.run([*LIVE, "--device", "play"], env=computer.environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert program.returncode == 1
    assert program.stderr == ("asr: played: named twice, by --device played and play; name each device once, asr live --list-devices has "
                              "them all\n")
