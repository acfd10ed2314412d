"""`asr live --web` as a process: its port, its viewers' last words, what it tells on the terminal."""

import contextlib
import re
import signal
import subprocess
import sys
import time

import pytest
import soundfile
from websockets.sync.client import connect

from asr.client.server import CaptionServer
from asr.client.session import read_session
from asr.config import RATE_HZ
from tests.test_live import PROGRAM, ROOT, SPOKEN, next_told, patience, told
from tests.test_server import WAIT_S, finals, port, receive
from tests.tones import recording


def test_a_port_that_is_taken(spoken):
    """One line that says what to do, status 1, before any model is loaded."""
    program = PROGRAM.replace("lambda *_: t.tone_models()", "None")
    with contextlib.closing(CaptionServer("127.0.0.1", 0)) as server:
        done = subprocess.run([sys.executable, "-c", program, "live", "--web", "--port", str(port(server)), "--input", spoken], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (f"asr: port {port(server)} of 127.0.0.1 is taken, perhaps by another asr live; choose another with --port, "
                               "0 is any that is free\n")


def test_a_port_without_a_page(spoken):
    """--port alone is a mistake that is told."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, "live", "--port", "0", "--input", spoken], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 2
    assert "--host and --port are about the page of --web" in done.stderr


@pytest.fixture
def spoken(tmp_path):
    """A recording: one two, a pause, three four, and a long time nothing."""
    soundfile.write(tmp_path / "spoken.wav", recording([*SPOKEN, ("five", 59, 59.5)], 60), RATE_HZ)
    return tmp_path / "spoken.wav"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_loses_no_final(spoken, tmp_path, number):
    """Viewers get the words before a stop and its end, with nothing more on the terminal; after kill -9 the file has what they saw."""
    arguments = ["live", "--web", "--port", "0", "--keep", "--sessions", tmp_path / "kept", "--input", spoken]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as program, patience(program):
        try:
            assert next_told(program.stderr).startswith("ready in ")
            host = re.fullmatch(r"captions at http://(127\.0\.0\.1:\d+)/\n", next_told(program.stderr))[1]
            with connect(f"ws://{host}/captions", origin=f"http://{host}") as viewer:
                messages = receive(viewer, "finals")
                seen = finals(messages)
                time.sleep(2.2)                              # after three and four, or within the pause that ends them
                program.send_signal(number)
                if number != signal.SIGKILL:
                    seen += finals(receive(viewer, "ended"))
            out, err = program.communicate(timeout=WAIT_S)
        finally:
            program.kill()
    assert told(err) == []
    session = read_session(next((tmp_path / "kept").iterdir()))
    assert messages[0]["started"][:19] == session.started.isoformat()[:19]     # to the second: page and file count from one moment
    kept = [final.text for final in session.finals]
    assert [text for _, text in seen] == kept[:len(seen)]
    assert kept == out.splitlines()
    assert (program.returncode, kept) in ((0, ["one two", "three four"]), (-signal.SIGKILL, ["one two"]),
                                          (-signal.SIGKILL, ["one two", "three four"]))
