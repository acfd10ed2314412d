"""The real way from a microphone: PulseAudio plays a recording, PortAudio hears it as ALSA's default device."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.bundle import DEFAULT
from asr.config import RATE_HZ
from asr.text import normalise
from tests.sound_server import SoundServer, missing
from tests.test_live import next_told, patience, told

ROOT = Path(__file__).parents[1]
SAMPLE_CLIPS = 6                     # of recordings.tsv, joined in sample.flac
CAPTURE = """
import select, sys
import numpy as np
import soundfile
from asr.audio import mono
from asr.client.microphone import Microphone
from asr.resample import Resampler
microphone = Microphone()
microphone.queue.wait()
print("listening", flush=True)
resampler, heard = Resampler(microphone.rate_hz), []
while not select.select([sys.stdin], [], [], 0)[0]:          # until it is closed
    heard += [resampler.feed(mono(block.samples)) for block in microphone.queue.take(0.1)]
microphone.close()
soundfile.write(sys.argv[1], np.concatenate([*heard, resampler.flush()]), 16000)
print(microphone.queue.dropped, microphone.overflows)
"""


@pytest.fixture
def server():
    """A sound server of this test's own."""
    if missing():
        pytest.skip(f"needs a sound server: apt install {missing()}")
    with SoundServer() as running:
        yield running


def test_the_microphone_hears_what_is_played(server, recordings, tmp_path):
    """What arrives, resampled from the device's own rate and channels, is the recording that was played, sample by sample."""
    played, rate_hz = soundfile.read(recordings / "sample.flac", dtype="float32")
    assert rate_hz == RATE_HZ
    played = played[:4 * RATE_HZ]
    soundfile.write(tmp_path / "played.wav", played, RATE_HZ)
    program = subprocess.Popen([sys.executable, "-c", CAPTURE, tmp_path / "heard.wav"], env=server.environment, cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with program:
        assert program.stdout.readline() == "listening\n"
        server.play(tmp_path / "played.wav")
        time.sleep(1)                                        # what is still on its way
        out, _err = program.communicate(timeout=60)
    assert out.split() == ["0", "0"]
    heard, _rate = soundfile.read(tmp_path / "heard.wav", dtype="float32")
    match = np.fft.irfft(np.fft.rfft(heard, 1 << 18) * np.conj(np.fft.rfft(played, 1 << 18)))
    start = int(match.argmax())
    heard = heard[start:start + len(played)]
    assert np.dot(heard, played) / np.linalg.norm(heard) / np.linalg.norm(played) > 0.98
    assert np.linalg.norm(heard) == pytest.approx(np.linalg.norm(played), rel=0.1)


@pytest.fixture
def live(server):
    """Starts `asr live` on the sound server's microphone and returns when it is ready to hear; ends what a test leaves running."""
    started = []

    def start() -> subprocess.Popen:
        program = subprocess.Popen([sys.executable, "-m", "asr", "live"], env=server.environment, cwd=ROOT, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        started.append(program)
        with patience(program):
            assert re.match("ready in .*, listening to default", next_told(program.stderr))
        return program

    yield start
    for program in started:
        program.kill()
        with program:                # closes its pipes and waits
            pass


@pytest.fixture
def english():
    """Skips where the shipped bundle is not there yet."""
    if not DEFAULT.is_dir():
        pytest.skip("needs the shipped bundle asr/models/english")


@pytest.mark.usefixtures("english")
def test_live_captions_of_what_is_played(live, server, recordings):
    """What `asr live` hears through the device costs at most 12 % more of the words than the file in the same stream."""
    from asr.client.captions import Final
    from asr.client.recognizer import StreamingRecognizer
    samples, rate_hz = soundfile.read(recordings / "sample.flac", dtype="float32")
    stream = StreamingRecognizer(sample_rate=rate_hz)
    finals = [caption for caption in stream.feed(samples) + stream.flush() if isinstance(caption, Final)]
    by_file = [word.text for final in finals for word in final.words]
    rows = (recordings / "recordings.tsv").read_text("utf-8").splitlines()[1:1 + SAMPLE_CLIPS]
    spoken = normalise(" ".join(row.split("\t")[-1] for row in rows)).split()
    program = live()
    server.play(recordings / "sample.flac")
    time.sleep(1)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, told(err)) == (0, [])
    assert len(out.splitlines()) > 1
    assert len(spoken) > 40
    assert edits(by_file, spoken) < 0.7 * len(spoken)
    assert edits(out.split(), spoken) <= edits(by_file, spoken) + 0.12 * len(spoken)


@pytest.mark.usefixtures("english")
def test_a_microphone_that_is_pulled_out_and_plugged_in(live, server, recordings):
    """Its words so far are shown and kept, one line says so; when it is back, captions go on by themselves."""
    program = live()
    player = threading.Thread(target=server.play, args=(recordings / "sample.flac",), kwargs={"check": False})
    player.start()
    with patience(program):
        first = program.stdout.readline()                    # the recording goes on: the next words are on their way
    time.sleep(2.5)
    server.kill()
    player.join()
    with patience(program):
        assert next_told(program.stderr) == ("asr: default: the microphone has stopped delivering sound; plug it in again and captions go "
                                             "on, Ctrl-C ends\n")
    server.restart()
    with patience(program):
        assert re.fullmatch(r"listening to default again, after \d+ s\n", next_told(program.stderr))
    server.play(recordings / "sample.flac")
    time.sleep(1)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, told(err)) == (0, [])
    assert first.strip()
    assert len(out.split()) > 30                             # more than what came before
    kept = subprocess.run([sys.executable, "-m", "asr", "sessions", "show"], env=server.environment, cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert [line.partition("  ")[2] for line in kept.stdout.splitlines()] == [first.strip(), *out.splitlines()]


@pytest.mark.usefixtures("english")
def test_a_program_that_was_stopped_hears_what_was_said_meanwhile(live, server, recordings):
    """Five seconds without the CPU lose no word: the sound system has kept them, and its microphone is not taken for a broken one."""
    program = live()
    played = threading.Thread(target=server.play, args=(recordings / "sample.flac",))
    played.start()
    time.sleep(2.5)
    program.send_signal(signal.SIGSTOP)
    time.sleep(5)
    program.send_signal(signal.SIGCONT)
    played.join()
    time.sleep(1)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, told(err)) == (0, [])
    shown = subprocess.run([sys.executable, "-m", "asr", "sessions", "export", "--format", "json"], env=server.environment, cwd=ROOT,
                           capture_output=True, text=True, check=True)
    words = json.loads(shown.stdout)["words"]
    assert [word["text"] for word in words] == out.split()
    assert len(words) > 60
    assert max(np.diff([word["start_s"] for word in words])) < 4.5             # no hole of 5 s, and the times are those of the file:
    assert words[-1]["end_s"] - words[0]["start_s"] == pytest.approx(34, abs=1)


def test_devices_are_found_by_number_and_by_part_of_the_name(server):
    """--list-devices shows the default one; an unknown one is refused in a line that lists what there is."""
    listed = subprocess.run([sys.executable, "-m", "asr", "live", "--list-devices"], env=server.environment, cwd=ROOT, capture_output=True,
                            text=True, check=True)
    number = re.search(r"^\* +(\d+)  default \(\d+ channels, \d+ Hz\)$", listed.stdout, re.MULTILINE)[1]
    assert listed.stderr == ""
    program = "from asr.client.microphone import *; print(find_device('DEF').index); find_device('x')"
    unknown = subprocess.run([sys.executable, "-c", program], env=server.environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert unknown.stdout == f"{number}\n"
    assert re.search(rf"DeviceError: no device matches 'x'; choose by number: .*\b{number} default", unknown.stderr)


def edits(found: list[str], expected: list[str]) -> int:
    """Fewest words to insert, delete and replace (Levenshtein)."""
    row = list(range(len(expected) + 1))
    for count, word in enumerate(found, 1):
        diagonal, row[0] = row[0], count
        for at, other in enumerate(expected, 1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (word != other))
    return row[-1]
