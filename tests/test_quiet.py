"""While a library is kept quiet: who prints, who does not, and that all is as before afterwards."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import os, sys, threading
import click
from asr.client.quiet import quiet

def noise():
    print("noise")
    print("noise", file=sys.stderr)

def all_say(word):
    print(word, flush=True)
    click.echo(word, err=True)
    os.write(2, b"native ")
    thread = threading.Thread(target=noise)
    thread.start()
    thread.join()

with quiet():
    all_say("meanwhile")
all_say("after")
"""


def test_one_thread_alone_prints():
    """The program's own lines come out on both streams; those of another thread and of native code only after it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "meanwhile\nafter\nnoise\n"
    assert done.stderr == "meanwhile\nafter\nnative noise\n"


def test_streams_that_are_taken_over(capsys):
    """Where standard error is not the system's, as in a test or a notebook, nothing is lost either."""
    from asr.client.quiet import quiet
    with quiet():
        print("out")
        print("err", file=sys.stderr)
    assert capsys.readouterr() == ("out\n", "err\n")
