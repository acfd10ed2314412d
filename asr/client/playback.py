"""A file in place of the microphone: its blocks come at speaking pace through the same queue."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from asr.audio import open_audio
from asr.client.capture import CaptureQueue
from asr.errors import AudioError

STEP_S = 0.02                        # as often as a sound card delivers


class Playback:
    """Plays `path` into `queue` in a thread, 20 ms every 20 ms. Raises AudioError when it cannot be opened."""

    tail_s = 0.0
    may_return = False               # what a file cannot deliver now it never will

    def __init__(self, path: str | Path):
        self._audio = open_audio(path)
        self.name = str(path)
        self.rate_hz = self._audio.rate_hz
        self.queue = CaptureQueue(self.rate_hz)
        self.overflows = 0
        self.problem: AudioError | None = None               # why the file could not be read to its end
        self.ended = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="playback", daemon=True)
        self.started = datetime.now(UTC)
        self._thread.start()

    def _play(self):
        step = max(1, round(STEP_S * self.rate_hz))
        due_s = time.monotonic()
        try:
            for block in self._audio:
                for start in range(0, len(block), step):
                    piece = block[start:start + step]
                    due_s += len(piece) / self.rate_hz
                    if self._stop.wait(max(0.0, due_s - time.monotonic())):
                        return
                    self.queue.put(piece)
        except AudioError as error:
            self.problem = error
        finally:
            self._audio.close()
            self.ended = True

    def close(self):
        """Stop playing; what is in the queue stays there."""
        self._stop.set()
        self._thread.join()
