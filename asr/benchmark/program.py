"""`asr live` as a program: how long it takes until it listens, and how much memory it takes at most.

A file is played to it at speaking pace, as it is without a microphone, so the figures hold Python, all imports and the bundle.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

from asr.benchmark.workers import peak_memory_mb
from asr.errors import AsrError

READY = "ready in "                                  # how the line begins that `asr live` prints when it listens
LOOK_EVERY_S = 0.05


def run_live(audio: Path, bundle: str | None = None) -> dict[str, float]:
    """{"startup": seconds until it says that it is ready, "peak_memory": MB} of one run over a file.

    Without "peak_memory" where the system does not tell. Raises AsrError with its last line where it fails.
    """
    command = [sys.executable, "-m", "asr", "live", "--input", str(audio), *(["--bundle", bundle] if bundle else [])]
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    figures: dict[str, float] = {}
    lines = ["it said nothing"]

    def listen() -> None:
        for line in process.stderr:
            if line.startswith(READY):
                figures.setdefault("startup", time.perf_counter() - started_s)
            lines.append(line.strip())

    listener = threading.Thread(target=listen)
    listener.start()
    while process.poll() is None:
        if memory_mb := peak_memory_mb(process.pid):
            figures["peak_memory"] = memory_mb       # the kernel keeps the peak: the last look before the end counts
        time.sleep(LOOK_EVERY_S)
    listener.join()
    process.stderr.close()
    if process.returncode or "startup" not in figures:
        raise AsrError(f"asr live ended with status {process.returncode}: {lines[-1]}")
    return figures
