"""The sound of several devices as one: brought to mono 16 kHz, lined up, summed. Without threads: mix.py calls step() again and again.

Devices begin at different moments, and their clocks differ by a part of a second an hour. Where a track begins is found by the clock,
from when its first block came; from then on its samples are counted, for blocks come unevenly. A track that stays behind the others
is not waited for any longer: silence stands for it, and its next samples begin by the clock again. So the mix runs as fast as the
fastest device, and what another one lags behind never adds up.
"""

import numpy as np

from asr.audio import mono
from asr.client.capture import LIMIT_S, CaptureQueue
from asr.client.microphone import Microphone
from asr.config import RATE_HZ
from asr.resample import Resampler

STEP_S = 0.02                        # step() is to be called this often
BEHIND = round(0.3 * RATE_HZ)        # samples; blocks of two devices come less unevenly than that
BEHIND_STEPS = 10                    # without catching up: after this program was stopped, each device delivers what was kept
CATCHING_UP = round(0.1 * RATE_HZ)   # samples
GAP = round(LIMIT_S * RATE_HZ)       # longer silence is skipped in the mix: neither held in memory nor recognised
PIECE = RATE_HZ                      # a queue that is nearly full drops no more than the last pieces


class Track:
    """What a device has delivered and is not mixed yet: `pending`, (n,) float32 at 16 kHz, which begins where the mix ends.

    Raises AudioError for a rate that cannot be resampled.
    """

    def __init__(self, microphone: Microphone):
        self.microphone = microphone
        self.pending = np.zeros(0, np.float32)
        self.heard = False           # has ever delivered
        self.here = False            # delivers: it is waited for
        self.owed = 0                # samples of silence that stand in the mix for what may still come, or be told as lost
        self.lost = self.skipped = 0                         # samples since Mixer asked last; skipped: of `lost`, not among the samples
        self._rate_hz = microphone.rate_hz
        self._resampler, self.held = Resampler(self._rate_hz), 0.0            # samples within it, at 16 kHz
        self._late_steps, self._least_lag = 0, float("inf")

    @property
    def end(self) -> int:
        """Samples after the mix at which the sound ends that the device has delivered."""
        return len(self.pending) + round(self.held)

    def take(self) -> np.ndarray:
        """What has come since, (n,) float32 at 16 kHz, with silence where the device's queue lost sound."""
        parts = [np.zeros(0, np.float32)]
        for block in self.microphone.queue.take(0):
            if block.dropped:
                parts += [self.flush(), np.zeros(self._gap(block.dropped), np.float32)]
            parts.append(self._resampler.feed(mono(block.samples)))
            self.held += len(block.samples) * RATE_HZ / self._rate_hz - len(parts[-1])
        return np.concatenate(parts)

    def flush(self) -> np.ndarray:
        """The resampler's tail, (n,) float32 at 16 kHz; what is taken next is resampled on its own."""
        tail = self._resampler.flush()
        self._resampler, self.held = Resampler(self._rate_hz), 0.0
        return tail

    def drop(self, num_samples: int):
        """Count samples that came too late. A block or two where a track begins is nothing to tell of."""
        self.owed = max(0, self.owed - num_samples)
        self.lost += num_samples * (num_samples > BEHIND and self.heard)

    def _gap(self, dropped: int) -> int:
        """Samples of silence for those that were dropped, at the device's rate; the mix may have it already."""
        gap = round(dropped * RATE_HZ / self._rate_hz)
        settled = min(self.owed, gap)
        self.owed -= settled
        gap -= settled
        self.lost += gap
        skipped = max(0, gap - GAP)
        self.skipped += skipped
        return gap - skipped

    def watch(self, front: int):
        """To be called each step, with the end of the track that is furthest: whether to wait for this one longer."""
        lag = front - self.end
        if lag <= BEHIND:
            self._late_steps, self._least_lag = 0, float("inf")
        elif lag < self._least_lag - CATCHING_UP:
            self._late_steps, self._least_lag = 0, lag
        else:
            self._late_steps += 1
        if self._late_steps >= BEHIND_STEPS:
            self.here = False


class Mixer:
    """Mixes `tracks` into `queue`, (n,) float32 in [-1, 1] at 16 kHz. `since_s`: monotonic time at which the queue's sound ends so far.

    `queue.dropped` has what the devices lost; silence keeps its place.
    """

    def __init__(self, tracks: list[Track], queue: CaptureQueue, since_s: float | None = None):
        self.tracks, self._queue, self._since_s = tracks, queue, since_s

    def step(self):
        """Take what has come, mix what is there of all tracks that are waited for."""
        self._take()
        front = max((track.end for track in self.tracks), default=0)
        for track in self.tracks:
            track.watch(front)
        self._put(min((len(track.pending) for track in self.tracks if track.here), default=0))

    def finish(self) -> float | None:
        """Mix all that has come; the monotonic time at which it ends, as far as is known."""
        self._take()
        for track in self.tracks:
            if track.here:
                track.pending = np.concatenate([track.pending, track.flush()])
        self._put(max((len(track.pending) for track in self.tracks), default=0))
        return max((track.microphone.queue.last_put_s for track in self.tracks if track.heard), default=self._since_s)

    def _take(self):
        came = [(track, track.take()) for track in self.tracks]
        skipped = max((track.skipped for track in self.tracks), default=0)
        self._queue.lose(skipped)    # this program did not run, or the machine slept: who has not told so yet will
        for track, new in sorted(came, key=lambda each: (not each[0].here, -len(each[1]))):    # who is placed by others comes after them
            track.owed += skipped - track.skipped
            if len(new):
                self._add(track, new)
            self._queue.dropped += track.lost - track.skipped
            track.lost = track.skipped = 0

    def _add(self, track: Track, new: np.ndarray):
        """Put what has come behind what is pending, or where the clock says; what belongs where all is mixed comes too late."""
        expected = self._expected(track)
        if not track.here:
            if expected is None:
                self._pass_time(track, len(new) + round(track.held))
            start = len(track.pending) if expected is None else expected - round(track.held) - len(new)
            begin = max(start, len(track.pending))
            track.drop(min(begin - start, len(new)))
            track.heard = True
            new = new[begin - start:]
            if not len(new):         # what the resampler holds begins before the mix ends, too
                return
            track.pending = np.concatenate([track.pending, np.zeros(begin - len(track.pending), np.float32)])
            track.here = True
        track.pending = np.concatenate([track.pending, new])
        if expected is not None and track.owed and (ahead := track.end - expected) > BEHIND:
            late = min(ahead, track.owed, len(track.pending))
            track.drop(late)
            track.pending = track.pending[late:]

    def _expected(self, track: Track) -> int | None:
        """Where the clock says that `track` ends now, in samples after what is mixed; None when no other tells."""
        others = [other for other in self.tracks if other.here and other is not track]
        if not others:
            return None
        furthest = max(others, key=lambda other: other.end)
        later_s = track.microphone.queue.last_put_s - furthest.microphone.queue.last_put_s
        return furthest.end + round(min(later_s, LIMIT_S) * RATE_HZ)

    def _pass_time(self, track: Track, num_new: int):
        """The first of all to deliver: until it began, nothing was recorded."""
        if self._since_s is not None:
            self._queue.lose(max(0, round((track.microphone.queue.last_put_s - self._since_s) * RATE_HZ) - num_new))
            self._since_s = None

    def _put(self, num_samples: int):
        mixed = np.zeros(num_samples, np.float32)
        for track in self.tracks:
            there = track.pending[:num_samples]
            mixed[:len(there)] += there
            track.pending = track.pending[num_samples:]
            track.owed += (num_samples - len(there)) * track.heard
        np.clip(mixed, -1, 1, out=mixed)
        for start in range(0, num_samples, PIECE):
            self._queue.put(mixed[start:start + PIECE])
