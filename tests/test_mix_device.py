"""Two real devices at once: what the computer plays, as its sound server's monitor has it, and a microphone that hears something else."""

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


@pytest.fixture
def server():
    """A sound server whose default loudspeaker's monitor is the device `played`; the device `headset` hears another loudspeaker."""
    if missing():
        pytest.skip(f"needs a sound server: apt install {missing()}")
    with SoundServer(("room",), {"played": "@DEFAULT_MONITOR@", "headset": "room.monitor"}) as running:
        yield running


def test_the_words_of_both_devices(server, recordings, tmp_path):
    """What is played and what the microphone hears are in the same captions, and in the same session."""
    if not DEFAULT.is_dir():
        pytest.skip("needs the shipped bundle asr/models/english")
    rows = [line.split("\t") for line in (recordings / "recordings.tsv").read_text("utf-8").splitlines()]
    spoken = {row[0]: set(normalise(row[-1]).split()) for row in rows}
    program = subprocess.Popen([sys.executable, "-m", "asr", "live", "--device", "played", "--device", "headset", "--sessions",
                                tmp_path], env=server.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with program:
        try:
            with patience(program):
                assert re.match("ready in .*, listening to played and headset; Ctrl-C ends", next_told(program.stderr))
            found = []
            for utterance, loudspeaker in ((THERE, "speaker"), (HERE, "room")):
                server.play(recordings / f"{utterance}.opus", loudspeaker=loudspeaker)
                with patience(program):
                    found.append(program.stdout.readline())  # its final, after the pause that follows
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=60)
        finally:
            program.kill()
    assert (program.returncode, told(err)) == (0, [])
    heard = set("".join([*found, out]).split())
    assert len(heard & spoken[THERE]) >= 0.6 * len(spoken[THERE])
    assert len(heard & spoken[HERE]) >= 0.6 * len(spoken[HERE])
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_device_by_two_names(server):
    """It is refused in one line, not opened twice."""
    program = subprocess.run([sys.executable, "-m", "asr", "live", "--device", "played", "--device", "play"], env=server.environment,
                             cwd=ROOT, capture_output=True, text=True, check=False)
    assert program.returncode == 1
    assert program.stderr == ("asr: played: named twice, by --device played and play; name each device once, asr live --list-devices has "
                              "them all\n")
