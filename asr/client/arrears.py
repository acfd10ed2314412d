"""Sound that never came: what a device recorded while this program did not run, and what of that its buffers could not hold.

A program that is stopped, or a machine that is overrun or asleep, gets no callback for a while; then those with the sound that was kept
come in quick succession. Once that is over, what is still missing by the clock is lost. Sound systems do not always say so: PulseAudio
drops what is older than its buffer without a word.
"""

AWAY_S = 1.0                         # callbacks come some fifty times a second; none for so long is a stop
SETTLED_S = 2.0                      # after it, until what was kept has come
LOST_S = 0.3                         # less may be a callback's own unsteadiness


class Arrears:
    """Follows the callbacks of one device at `rate_hz`. The clock is asked about these seconds alone: over hours it drifts from the
    device's own.
    """

    def __init__(self, rate_hz: float):
        self._rate_hz = rate_hz
        self._last_s: float | None = None
        self._since_s: float | None = None                   # the last callback before a stop
        self._back_s = 0.0                                   # the first one after it
        self._came = 0                                       # samples since

    def after(self, now_s: float, num_samples: int) -> int:
        """To be called at each callback, with the time of a clock that runs on evenly -> samples that are lost, found out now."""
        if self._last_s is not None and now_s - self._last_s > AWAY_S:
            if self._since_s is None:
                self._since_s, self._came = self._last_s, 0
            self._back_s = now_s
        self._last_s = now_s
        if self._since_s is None:
            return 0
        self._came += num_samples
        if now_s - self._back_s < SETTLED_S:
            return 0
        lost = round((now_s - self._since_s) * self._rate_hz) - self._came
        self._since_s = None
        return lost if lost > LOST_S * self._rate_hz else 0
