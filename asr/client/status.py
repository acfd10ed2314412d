"""How the listening goes, for screens that show it: how loud the sound is, how late the captions come, what was lost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from asr.client.captions import Final, Partial

FLOOR_DBFS = -100.0                  # what digital silence counts as
FALL_DB_PER_S = 30.0                 # a level falls slowly, so that a screen that looks at it now and then misses no word
NO_SIGNAL_S = 1.5                    # an open microphone always hisses: zeros this long come from one that is muted or not there


@dataclass(frozen=True)
class Status:
    """At one moment. Times in seconds."""

    source: str
    level_dbfs: float = FLOOR_DBFS   # root mean square, 0 = the loudest possible
    no_signal: bool = False
    paused: bool = False
    delay_s: float | None = None     # from the end of the newest word to its first showing; None before the first
    lost_s: float = 0.0              # sound dropped because this machine was too slow
    overflows: int = 0               # times the system lost sound
    kept: bool = False               # finals are, in `file` once there is one
    file: Path | None = None
    recorded: bool = False
    started: datetime = field(default_factory=lambda: datetime.now(UTC))       # when the sound began, which times count from


class Gauge:
    """Follows the sound and its captions; its figures are those of a Status. `heard_s` is how far the sound was taken in, as the
    captions count it.
    """

    def __init__(self):
        self.heard_s = self.lost_s = 0.0
        self.level_dbfs = FLOOR_DBFS
        self._silent_s = 0.0
        self._heard = False          # anything but zeros, since the device was opened
        self.delay_s: float | None = None
        self._num_words = 0          # of the partial that is on the screen

    @property
    def no_signal(self) -> bool:
        """Whether there has been nothing but zeros for a while."""
        return self._silent_s >= NO_SIGNAL_S

    @property
    def muted(self) -> bool:
        """Whether that is all there has been since the device was opened: some have zeros between words, too."""
        return self.no_signal and not self._heard

    def hear(self, samples: np.ndarray, rate_hz: float):
        """(n,) float32, n > 0."""
        seconds = len(samples) / rate_hz
        power = float(np.dot(samples, samples)) / len(samples)
        self.level_dbfs = max(10 * math.log10(max(power, 1e-10)), self.level_dbfs - FALL_DB_PER_S * seconds)
        self._silent_s = self._silent_s + seconds if power == 0 else 0.0
        self._heard = self._heard or power > 0
        self.heard_s += seconds

    def lose(self, seconds: float):
        """Sound that was dropped."""
        self.lost_s += seconds
        self.heard_s += seconds

    def lose_device(self):
        """There is none from now on."""
        self.level_dbfs, self._silent_s = FLOOR_DBFS, math.inf

    def open_again(self, seconds: float):
        """There is one again, after so long."""
        self._silent_s, self._heard = 0.0, False
        self.heard_s += seconds

    def show(self, captions: Sequence[Partial | Final], waiting_s: float):
        """These captions are shown now, while `waiting_s` of sound is still to be taken in."""
        for caption in captions:
            count = len(caption.words) if isinstance(caption, Partial) else 0
            if count > self._num_words:
                self.delay_s = max(0.0, self.heard_s + waiting_s - caption.words[-1].end_s)
            self._num_words = count
