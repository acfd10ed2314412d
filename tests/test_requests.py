"""What the user asks for while captions run: to pause, to mark a moment, to stop."""

import pytest

from asr.client.requests import Request, Requests, Stop
from asr.client.session import SessionFile, read_session
from asr.client.worker import Outputs, run
from tests.test_worker import BLOCK, Feeder, Panel, Recorder, Steps


def test_a_second_stop_ends_at_once():
    """Who presses Ctrl-C twice does not wait."""
    stop = Stop()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        stop.set()


def test_a_stop_asked_for_twice_is_one():
    """A key or a closed window may ask again, also after Ctrl-C; Ctrl-C after that ends at once."""
    stop = Stop()
    stop.ask()
    asked_s = stop.at_s
    stop.ask()
    assert stop.at_s == asked_s
    with pytest.raises(KeyboardInterrupt):
        stop.set()
    stop = Stop()
    stop.set()
    stop.ask()


class Pauser(Panel):
    """Asks for a pause at its third status, and to go on at the sixth that says so."""

    def __init__(self, requests):
        super().__init__()
        self.requests = requests

    def status(self, status):
        """Ask."""
        super().status(status)
        if len(self.statuses) == 3 or (status.paused and sum(each.paused for each in self.statuses) == 6):
            self.requests.put(Request.PAUSE)


def test_a_pause_is_not_heard():
    """What was said before is final at once; what comes until it goes on is not recognised, but its time counts."""
    requests = Requests()
    recorder, panel = Recorder(), Pauser(requests)
    run(Steps(*[BLOCK] * 30), recorder, Outputs((panel,)), Stop(), requests)
    [(skipped, _)] = recorder.skipped
    assert skipped == 7 * 160                                # one in each of six statuses that say so, one at the last key
    assert sum(map(len, recorder.fed)) + skipped == 30 * 160
    assert panel.remarks == ["paused: nothing is shown or kept", "going on"]
    assert [caption.text for caption in panel.captions] == ["end", "end"]
    assert not panel.statuses[-1].paused


def test_a_mark_is_told():
    """Asked for, it is a line on every screen, which says where there is no session to keep it."""
    requests, panel = Requests(), Panel()
    requests.put(Request.MARK)
    run(Feeder(20, 0.001), Recorder(), Outputs((panel,)), Stop(), requests)
    [remark] = panel.remarks
    assert remark.startswith("marked at ")
    assert "not kept" in remark


def test_a_mark_just_before_the_end_is_kept(tmp_path):
    """Who presses the key and quits at once has it in the session."""
    requests, stop = Requests(), Stop()
    session = SessionFile(tmp_path, "feeder", "none", print)
    requests.put(Request.MARK)
    stop.set()
    run(Steps(BLOCK), Recorder(), Outputs((Panel(),), session), stop, requests)
    assert read_session(session.path).marks_s == (0.01,)
