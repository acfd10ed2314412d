"""Audio's way from a callback to captions: nothing slow in the callback, a bounded queue, losses counted and told."""

import io
import threading
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from asr.client.captions import Final, Partial
from asr.client.capture import CaptureQueue
from asr.client.display import Display
from asr.client.requests import Stop
from asr.client.session import SessionFile, read_session
from asr.client.worker import Outputs, run
from asr.decoding.hypothesis import Word
from asr.errors import DeviceError

RATE_HZ = 16_000
BLOCK = np.ones((160, 2), np.float32)                        # 10 ms of stereo
SILENT = np.zeros_like(BLOCK)


class Recorder:
    """In place of the recogniser: remembers what it is fed and takes as long as it is told."""

    until_ready, chunk_ms = 1, 320

    def __init__(self, takes_s: float = 0.0):
        self.takes_s, self.fed, self.skipped = takes_s, [], []

    def feed(self, samples):
        """Remember, and be slow."""
        self.fed.append(samples)
        time.sleep(self.takes_s)
        return []

    def skip(self, num_samples, sample_rate=None):
        """Remember."""
        self.skipped.append((num_samples, sample_rate))
        return []

    def flush(self):
        """One final."""
        return [Final((Word("end", 0, 1, 1),), 0, 1, "end")]


class Feeder:
    """In place of a device: a thread that puts `blocks` blocks, one every `every_s`, and remembers how long each put took."""

    name, rate_hz, tail_s, overflows, problem, may_return = "feeder", RATE_HZ, 0.0, 0, None, False
    started = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, blocks: int, every_s: float, limit_s: float = 10.0):
        self.queue, self.ended, self.took_s, self.closed = CaptureQueue(RATE_HZ, limit_s), False, [], False
        self._thread = threading.Thread(target=self._put, args=(blocks, every_s))
        self._thread.start()

    def _put(self, blocks, every_s):
        for _ in range(blocks):
            started_s = time.thread_time()                   # this thread's own work: a busy machine does not count
            self.queue.put(BLOCK)
            self.took_s.append(time.thread_time() - started_s)
            time.sleep(every_s)
        self.ended = True

    def close(self):
        """Remember."""
        self.closed = True
        self._thread.join()


class OneByOne(CaptureQueue):
    """Gives one block a step, however busy the machine is."""

    def take(self, timeout_s, enough=1):
        """The first that waits."""
        first = [] if self._blocks.empty() else [self._blocks.get()]
        self._taken += sum(len(block.samples) for block in first)
        return first


class Steps(Feeder):
    """In place of a device: has these blocks from the beginning, and each is a step of the worker's."""

    def __init__(self, *blocks: np.ndarray):
        self.queue, self.ended, self.closed = OneByOne(RATE_HZ, limit_s=60), True, False
        for block in blocks:
            self.queue.put(block)

    def close(self):
        """Remember."""
        self.closed = True


@pytest.fixture
def display():
    """A display into strings: display.out, display.err."""
    out, err = io.StringIO(), io.StringIO()
    made = Display(out, err)
    made.out, made.err = out, err
    return made


def test_a_slow_recogniser_does_not_hold_up_the_callback(display):
    """While a step takes 100 ms, each delivery of 10 ms of sound stays far below 10 ms, and no sample is lost."""
    feeder, recorder = Feeder(100, 0.005), Recorder(0.1)
    run(feeder, recorder, Outputs((display,)), Stop())
    assert sorted(feeder.took_s)[95] < 0.002
    assert sum(map(len, recorder.fed)) == 100 * 160
    assert len(recorder.fed) < 30                            # each step took all that waited
    assert {block.ndim for block in recorder.fed} == {1}
    assert feeder.closed
    assert display.out.getvalue() == "end\n"


def test_a_full_queue_drops_and_tells(display):
    """When the recogniser is too slow, the queue stays short, what is dropped is skipped in time, and the user is told once."""
    feeder, recorder = Feeder(200, 0.001, limit_s=0.2), Recorder(0.15)
    run(feeder, recorder, Outputs((display,)), Stop())
    assert feeder.queue.dropped > 0
    skipped = sum(samples for samples, _ in recorder.skipped)
    tail = 200 * 160 - sum(map(len, recorder.fed)) - skipped                   # dropped after the last block that got in
    assert 0 <= tail <= feeder.queue.dropped
    assert recorder.skipped
    lines = display.err.getvalue().splitlines()
    assert len(lines) == 1
    assert "s of sound dropped; this machine cannot keep up: " in lines[0]
    assert "ms are allowed" in lines[0]
    assert lines[0].endswith("s behind; captions come every 0.64 s now")
    assert recorder.chunk_ms == 640


def test_a_stop_takes_what_waits_and_flushes(display):
    """After a stop, the sound that was delivered before is still recognised, and the last utterance shown."""
    feeder, recorder, stop = Feeder(50, 0), Recorder(), Stop()
    feeder._thread.join()
    feeder.ended = False                                     # a microphone goes on
    stop.set()
    run(feeder, recorder, Outputs((display,)), stop)
    assert feeder.closed
    assert sum(map(len, recorder.fed)) == 50 * 160
    assert display.out.getvalue() == "end\n"


def test_a_device_that_fails_is_told_after_its_last_words(display):
    """When the source reports a problem, what was heard is recognised and shown, then the problem is raised."""
    feeder, recorder = Feeder(20, 0.001), Recorder()
    feeder._thread.join()
    feeder.problem = DeviceError("feeder: gone")
    with pytest.raises(DeviceError, match="feeder: gone"):
        run(feeder, recorder, Outputs((display,)), Stop())
    assert sum(map(len, recorder.fed)) == 20 * 160
    assert display.out.getvalue() == "end\n"


class Panel:
    """A screen that remembers what it is told."""

    def __init__(self):
        self.statuses, self.remarks, self.captions = [], [], []

    def show(self, caption):
        """Remember."""
        self.captions.append(caption)

    def remark(self, text):
        """Remember."""
        self.remarks.append(text)

    def status(self, status):
        """Remember."""
        self.statuses.append(status)

    def close(self):
        """Nothing."""


def test_a_screen_is_told_how_the_listening_goes():
    """The level of the sound, what was lost, and the source's name; full-scale samples are 0 dB."""
    feeder, panel = Feeder(200, 0.001, limit_s=0.2), Panel()
    feeder.overflows = 2
    run(feeder, Recorder(0.15), Outputs((panel,)), Stop())
    last = panel.statuses[-1]
    assert (last.source, last.overflows, last.level_dbfs, last.no_signal) == ("feeder", 2, pytest.approx(0.0), False)
    assert last.lost_s > 0


class MuteNoter(Panel):
    """Notes after how many statuses, one a step, it is told that there is no signal."""

    def __init__(self):
        super().__init__()
        self.told_after = []

    def remark(self, text):
        """Note."""
        if text == "no signal from feeder: is it muted, or another one meant? asr live --list-devices":
            self.told_after.append(len(self.statuses))


@pytest.mark.parametrize(("blocks", "told_after"), [
    ([SILENT] * 400, [149]), ([SILENT] * 400 + [BLOCK] * 5 + [SILENT] * 400, [149]), ([SILENT] * 50 + [BLOCK] * 5 + [SILENT] * 400, [])])
def test_a_muted_microphone_is_told_once(blocks, told_after):
    """Within two seconds of nothing but zeros there is one line that says so; zeros after sound are those of a gate between words."""
    source, panel = Steps(*blocks), MuteNoter()
    source.may_return = True                                 # as a device's, not a file's, which may well be silent
    run(source, Recorder(), Outputs((panel,)), Stop())
    assert panel.told_after == told_after                    # steps of 10 ms: after 1.5 s
    assert panel.statuses[-1].no_signal


class Talker(Recorder):
    """Has heard three words, two of them surely, whenever it is fed."""

    def feed(self, samples):
        """A partial."""
        self.fed.append(samples)
        return [Partial(tuple(Word(text, 0, 0.1, 1) for text in ("a", "b", "c")), 2)]


@pytest.mark.parametrize(("steady", "shown"), [(False, "a b c"), (True, "a b")])
def test_steady_captions(steady, shown):
    """Who asks for it sees committed words alone; the delay of the newest word is told."""
    panel = Panel()
    run(Feeder(100, 0.001), Talker(), Outputs((panel,), steady=steady), Stop())
    assert {caption.text for caption in panel.captions[:-1]} == {shown}
    assert 0 <= panel.statuses[-1].delay_s < 1


class Gone(Panel):
    """A screen that fails at the third caption and after."""

    def show(self, caption):
        """As to a closed window."""
        super().show(caption)
        if len(self.captions) > 2:
            raise OSError(5, "Input/output error")


def test_a_screen_that_fails_costs_no_words(tmp_path):
    """The others and the session get the last ones and the end; then the error is raised."""
    session, gone, panel = SessionFile(tmp_path, "feeder", "none", print), Gone(), Panel()
    with pytest.raises(OSError, match="Input/output error"):
        run(Steps(*[BLOCK] * 9), Talker(), Outputs((gone, panel), session), Stop())
    assert len(gone.captions) == 3
    assert [caption.text for caption in panel.captions] == ["a b c"] * 9 + ["end"]
    kept = read_session(session.path)
    assert [final.text for final in kept.finals] == ["end"]
    assert kept.ended
