"""A microphone that is pulled out while captions run: it is waited for, and what the user wants meanwhile is done."""

import time

import numpy as np
import pytest

from asr.client.capture import CaptureQueue
from asr.client.requests import Request, Requests, Stop
from asr.client.session import SessionFile, read_session
from asr.client.worker import Outputs, run
from asr.errors import DeviceError
from tests.test_worker import BLOCK, RATE_HZ, SILENT, Feeder, Panel, Recorder


class Returning(Feeder):
    """A device that is lost after its blocks, cannot be opened twice, and comes back with three blocks at half the rate."""

    may_return = True

    def __init__(self, block: np.ndarray = BLOCK):
        super().__init__(20, 0.001)
        self._block = block
        self._thread.join()
        self.ended, self.tries, self.problem = False, 0, DeviceError("feeder: gone")

    def reopen(self):
        """The third try succeeds."""
        self.tries += 1
        if self.tries < 3:
            return False
        self.rate_hz, self.queue, self.problem, self.ended = RATE_HZ / 2, CaptureQueue(RATE_HZ / 2), None, True
        for _ in range(3):
            self.queue.put(self._block)
        return True


def test_a_device_that_comes_back(monkeypatch):
    """Its utterance ends with a final, the time without it counts as silence, and its sound goes on at the new rate."""
    monkeypatch.setattr("asr.client.worker.REOPEN_EVERY_S", 0.2)
    feeder, recorder, panel = Returning(), Recorder(), Panel()
    run(feeder, recorder, Outputs((panel,)), Stop())
    assert feeder.tries == 3
    assert sum(map(len, recorder.fed)) == 23 * 160
    assert recorder.skipped[0][0] > 0.4 * RATE_HZ
    assert recorder.skipped[0][1] == RATE_HZ / 2
    assert [caption.text for caption in panel.captions] == ["end", "end"]
    assert panel.remarks[0] == "asr: feeder: gone; plug it in again and captions go on, Ctrl-C ends"
    assert panel.remarks[1].startswith("listening to feeder again, after ")


def test_a_device_that_has_come_back_is_not_called_muted(monkeypatch):
    """The time without it is no sign of that: its first zeros are told of as those of a new device, after a while."""
    monkeypatch.setattr("asr.client.worker.REOPEN_EVERY_S", 0.1)
    panel = Panel()
    run(Returning(SILENT), Recorder(), Outputs((panel,)), Stop())
    assert [remark for remark in panel.remarks if "no signal" in remark] == []
    assert any(status.no_signal for status in panel.statuses)                  # while it was away
    assert not panel.statuses[-1].no_signal


def test_a_stop_while_a_device_is_away():
    """Who stops then waits for nothing, and it is no error."""
    feeder, stop, panel = Returning(), Stop(), Panel()
    feeder.reopen = lambda: stop.set() or False
    run(feeder, Recorder(), Outputs((panel,)), stop)
    assert [caption.text for caption in panel.captions] == ["end"]


@pytest.mark.parametrize("returns", [False, True])
def test_a_mark_while_a_device_is_away(tmp_path, monkeypatch, returns):
    """It is in the session, at its time, whether the user quits then or the device comes back later."""
    monkeypatch.setattr("asr.client.worker.REOPEN_EVERY_S", 0.5)
    feeder, requests, stop = Returning(), Requests(), Stop()
    session = SessionFile(tmp_path, "feeder", "none", print)
    reopen, lost_s, tried_s = feeder.reopen, feeder.queue.last_put_s, []

    def marked():
        """The key is pressed at the first try."""
        tried_s.append(time.monotonic() - lost_s)
        if len(tried_s) == 1:
            requests.put(Request.MARK)
            if not returns:
                stop.set()
        return reopen()

    feeder.reopen = marked
    run(feeder, Recorder(), Outputs((Panel(),), session), stop, requests)
    tried_s.append(time.monotonic() - lost_s)
    [mark_s] = read_session(session.path).marks_s
    assert len(tried_s) == (4 if returns else 2)
    assert 0.2 + tried_s[0] <= mark_s + 0.001 <= 0.2 + tried_s[1] + 0.002      # after the blocks' 0.2 s; rounded to a millisecond
