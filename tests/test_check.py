"""`asr check`: what it makes of a machine's speed and a microphone's levels, and the command on real devices and without any."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from asr.client.check import Cost, Levels, advice, all_costs, chosen, clip, levels
from asr.config import LATENCIES, RATE_HZ
from tests.sound_server import SoundServer, missing
from tests.tones import tone_models

ROOT = Path(__file__).parents[1]


def test_the_clip_is_speech():
    """What comes with the package is 6.6 s at a level of speech."""
    samples = clip()
    assert len(samples) / RATE_HZ == pytest.approx(6.62, abs=0.02)
    assert levels(samples, RATE_HZ).speech_dbfs == pytest.approx(-22, abs=12)


def test_every_chunk_length_is_measured():
    """The shortest first, each with its delay and more than no work."""
    costs = all_costs(tone_models(), clip())
    assert [cost.chunk_ms for cost in costs] == sorted(LATENCIES)
    assert all(cost.share > 0 for cost in costs)
    assert all(cost.shown_s > LATENCIES[cost.chunk_ms].delay_s for cost in costs)


@pytest.mark.parametrize(("shares", "expected"), [
    ((0.1, 0.1, 0.1, 0.1), 320), ((0.9, 0.6, 0.4, 0.3), 640), ((2.0, 1.5, 1.1, 0.7), None),
])
def test_the_chunk_length_to_take(shares, expected):
    """The default where it keeps up, else the next longer one that does."""
    costs = [Cost(chunk_ms, share, 1.0) for chunk_ms, share in zip(sorted(LATENCIES), shares, strict=True)]
    best = chosen(costs)
    assert (best and best.chunk_ms) == expected


def test_levels_of_known_sound():
    """A tone of half of full scale is 9 dB below it; half of the time there is silence; clipping is counted."""
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    sound = (0.5 * np.sin(2 * np.pi * 440 * time_s) * (time_s < 1)).astype(np.float32)
    found = levels(sound, RATE_HZ)
    assert found.speech_dbfs == pytest.approx(-9.03, abs=0.1)
    assert found.floor_dbfs < -100
    assert found.clipped == 0
    assert levels(np.clip(4 * sound, -1, 1), RATE_HZ).clipped > 0.2


@pytest.mark.parametrize(("heard", "said"), [
    (Levels(-20, -60, 0.0), "good"), (Levels(-90, -95, 0.0), "delivers silence"), (Levels(-3, -40, 0.02), "too loud"),
    (Levels(-50, -70, 0.0), "quiet"), (Levels(-30, -36, 0.0), "hardly louder"),
])
def test_advice(heard, said):
    """Each kind of trouble is told, and none where there is none."""
    assert said in advice(heard)


def run(*arguments, **options) -> subprocess.CompletedProcess:
    """`asr check` as a process."""
    command = [sys.executable, "-m", "asr", "check", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)


def test_the_machine_alone():
    """Without a microphone to test it tells of the machine, status 0."""
    done = run("--seconds", "0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"an hour of recording takes \d+ s", done.stdout)
    assert len(re.findall(r"^ +\d+ ms +\d+\.\d %", done.stdout, re.MULTILINE)) == len(LATENCIES)
    assert "Captions will keep up: asr live" in done.stdout


def test_a_microphone_that_hears(recordings):
    """With speech played to it, the level is called good and words are heard."""
    if missing():
        pytest.skip(f"needs a sound server: apt install {missing()}")
    with SoundServer() as server:
        playing = threading.Event()

        def play():
            while not playing.is_set():
                server.play(recordings / "sample.flac", check=False)

        player = threading.Thread(target=play)
        player.start()
        done = run("--seconds", "6", env=server.environment)
        playing.set()
        player.join()
    assert done.returncode == 0, done.stderr
    assert re.search(r"speech at -\d+ dB, the room at -\d+ dB of full scale: good\.", done.stdout)
    assert len(re.search(r"^Words: (.*)$", done.stdout, re.MULTILINE)[1].split()) >= 3
