"""Several devices as one source: what is told of them, what happens when one fails, and that nothing is left behind."""

import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from asr.client import mix
from asr.client.capture import CaptureQueue
from asr.client.microphone import Device
from asr.client.mix import Mix, Search
from asr.client.requests import Stop
from asr.client.worker import Outputs, run
from asr.config import RATE_HZ
from asr.errors import DeviceError
from tests.test_worker import Panel, Recorder

DEVICES = [Device(3, "USB Mic", 1, 48_000, True), Device(4, "Monitor of Speakers", 2, 16_000, False), Device(5, "Twin", 1, 16_000, False),
           Device(6, "Twin", 1, 16_000, False)]


class Fake:
    """In place of a Microphone: delivers what the test puts."""

    def __init__(self, wanted: str):
        device = find(wanted)
        self.name, self.rate_hz, self.queue = device.name, device.rate_hz, CaptureQueue(device.rate_hz)
        self.overflows, self.problem, self.stopped, self.closed = 0, None, False, False

    def put(self, seconds: float, value: float = 0.25):
        """A stretch of sound."""
        self.queue.put(np.full((round(seconds * self.rate_hz), 2), value, np.float32))

    def fail(self, stopped: bool = True):
        """As when it is pulled out, or, not stopped, when nothing comes any more."""
        self.stopped, self.problem = stopped, DeviceError(f"{self.name}: gone")

    def close(self):
        """Remember."""
        self.closed = True


class System:
    """In place of PortAudio: which devices have been opened, in order, and which are pulled out."""

    def __init__(self):
        self.opened, self.out, self.starts, self.found = [], set(), 0, False

    def open(self, wanted: str) -> Fake:
        """A fake, unless it is pulled out."""
        if find(wanted).name in self.out:
            raise DeviceError(f"no device matches {wanted!r}")
        self.opened.append(Fake(wanted))
        return self.opened[-1]

    def look_again(self):
        """All that were opened must be closed by then."""
        assert all(fake.closed for fake in self.opened)
        self.starts += 1


def find(wanted: str) -> Device:
    """As find_device does it."""
    matches = [device for device in DEVICES if str(device.index) == wanted] or [device for device in DEVICES if wanted in device.name]
    if len(matches) != 1:
        raise DeviceError(f"no device, or several, for {wanted!r}")
    return matches[0]


@pytest.fixture
def system(monkeypatch):
    """Fakes in place of all devices; a search finds what is missing once the test says so. No thread is left behind."""
    made = System()
    monkeypatch.setattr(mix, "Microphone", made.open)
    monkeypatch.setattr(mix, "find_device", find)
    monkeypatch.setattr(mix, "look_again", made.look_again)
    monkeypatch.setattr(mix, "ANEW_EVERY_S", 0)
    monkeypatch.setattr(mix.Search, "found", lambda _self: made.found)
    before = set(threading.enumerate())
    yield made
    assert set(threading.enumerate()) == before


def wait_for(condition: Callable[[], object]):
    """Return when it is so; fail after a minute, which no machine needs."""
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s, "not within a minute"
        time.sleep(0.005)


def test_the_sum_of_two(system):
    """What two devices deliver, at different rates and channels, comes out as one sound at 16 kHz; closing gives the last of it."""
    source = Mix(["3", "Monitor"])
    assert source.name == "USB Mic and Monitor of Speakers"
    for fake in system.opened:
        fake.put(1)
        fake.overflows = 2
    source.close()
    taken = np.concatenate([block.samples for block in source.queue.take(0)])
    assert taken.ndim == 1
    assert len(taken) == pytest.approx(RATE_HZ, abs=RATE_HZ / 10)
    assert np.median(taken) == pytest.approx(0.5, abs=0.01)
    assert (source.rate_hz, source.queue.rate_hz, source.overflows, source.problem, source.ended) == (RATE_HZ, RATE_HZ, 4, None, False)
    assert all(fake.closed for fake in system.opened)
    source.close()                   # twice does no harm


def test_sound_comes_while_it_runs(system):
    """The thread passes on what one device delivers, though the other has nothing."""
    source = Mix(["USB", "Monitor"])
    system.opened[1].put(0.5)
    wait_for(lambda: source.queue.waiting_s == 0.5)
    assert source.problem is None
    source.close()


@pytest.mark.parametrize("wanted", [["USB", "Mic"], ["3", "USB Mic"], ["Monitor", "3", "Monitor"]])
def test_a_device_that_is_named_twice(system, wanted):
    """It is refused in a line, before anything is opened."""
    with pytest.raises(DeviceError, match=r": named twice, by --device \S+ and .*asr live --list-devices"):
        Mix(wanted)
    assert system.opened == []


def test_a_device_that_cannot_be_opened_at_first(system):
    """Whoever starts is told so, and the other one is closed again."""
    system.out = {"Monitor of Speakers"}
    with pytest.raises(DeviceError, match="no device matches 'Monitor'"):
        Mix(["USB", "Monitor"])
    assert [fake.closed for fake in system.opened] == [True]


def test_numbers_are_remembered_as_names(system, monkeypatch):
    """Numbers change when a device goes: what was wanted by number is opened anew by name where one device alone has that."""
    wanted = []
    monkeypatch.setattr(mix, "Microphone", lambda name: wanted.append(name) or system.open(name))
    Mix(["3", "5"]).close()
    assert wanted == ["USB Mic", "5"]


def test_one_that_fails_and_comes_back(system):
    """The other is opened anew and heard on, without a problem; the name says so; once it is found, both are heard."""
    source = Mix(["USB", "Monitor"])
    system.opened[0].put(1)
    system.opened[1].put(1)
    system.out = {"USB Mic"}
    system.opened[0].fail()
    wait_for(lambda: source.name == "Monitor of Speakers, without USB Mic")
    wait_for(lambda: len(system.opened) == 3)
    source.queue.take(0)
    system.opened[2].put(0.5)
    wait_for(lambda: source.queue.waiting_s > 0.49)
    [first, *_others] = source.queue.take(0)
    assert first.dropped < 60 * RATE_HZ                      # the time in between keeps its place
    system.out = set()
    system.found = True
    wait_for(lambda: source.name == "USB Mic and Monitor of Speakers")
    assert source.problem is None
    assert system.starts >= 2
    source.close()


def test_the_user_is_told_by_name(system):
    """A line says what is heard from then on; captions go on in the same run."""
    source, panel, stop = Mix(["USB", "Monitor"]), Panel(), Stop()
    listening = threading.Thread(target=run, args=(source, Recorder(), Outputs((panel,)), stop))
    listening.start()
    system.out = {"USB Mic"}
    system.opened[0].fail()
    wait_for(lambda: "listening to Monitor of Speakers, without USB Mic" in panel.remarks)
    stop.set()
    listening.join()
    assert [caption.text for caption in panel.captions] == ["end"]


def test_all_that_fail(system):
    """That is a problem, which the worker knows; opened anew, those that are there are heard again."""
    source = Mix(["USB", "Monitor"])
    for fake in system.opened:
        fake.fail()
    wait_for(lambda: source.problem)
    assert str(source.problem) == "USB Mic: gone"
    assert source.may_return
    system.out = {"USB Mic", "Monitor of Speakers"}
    assert not source.reopen()
    assert not source.reopen()
    system.out = {"USB Mic"}
    assert source.reopen()
    assert source.problem is None
    assert source.name == "Monitor of Speakers, without USB Mic"
    system.opened[-1].put(0.5)
    wait_for(lambda: source.queue.waiting_s == 0.5)
    source.close()


def test_one_that_never_delivers_is_no_failure(system):
    """A monitor may have nothing to deliver while nothing is played: it stays open, and its sound is heard once it comes."""
    source = Mix(["USB", "Monitor"])
    system.opened[1].fail(stopped=False)
    system.opened[0].put(0.5)
    wait_for(lambda: source.queue.waiting_s > 0.4)
    source.queue.take(0)
    monitor = system.opened[1]
    monitor.problem = None
    wait_for(lambda: monitor.put(0.02, 0.5) or any(block.samples.max() == 0.5 for block in source.queue.take(0)))
    monitor.fail(stopped=False)      # and then nothing again
    wait_for(lambda: system.opened[0].put(0.02) or any(0.2 < block.samples.max() < 0.3 for block in source.queue.take(0)))
    assert len(system.opened) == 2
    assert source.problem is None
    source.close()


def test_an_error_in_the_thread(system):
    """It is the problem, in one line, and none that passes: whoever listens ends with it."""
    source = Mix(["USB", "Monitor"])
    system.opened[0].queue.take = lambda _timeout_s: 1 / 0
    wait_for(lambda: source.problem)
    with pytest.raises(DeviceError, match=r"USB Mic and Monitor of Speakers: cannot be mixed \(ZeroDivisionError"):
        run(source, Recorder(), Outputs((Panel(),)), Stop())
    assert all(fake.closed for fake in system.opened)


@pytest.mark.parametrize(("program", "expected"), [("pass", True), ("raise SystemExit(1)", False)])
def test_a_search_asks_a_process(monkeypatch, program, expected):
    """It finds a device when a process could open it; it is asked for again later; none is left behind."""
    monkeypatch.setattr(mix, "SEARCH", "import sys; assert sys.argv[1] == 'USB Mic'; " + program)
    monkeypatch.setattr(mix, "SEARCH_EVERY_S", 0)
    search, answers = Search(["USB Mic"]), []

    def answered() -> bool:
        """Whether a process has ended."""
        running = search.process
        answers.append(search.found())
        return running is not None and search.process is not running

    wait_for(answered)
    assert answers[-1] is expected
    search.found()
    search.close()
    assert search.process is None or search.process.returncode is not None


def test_the_search_is_a_program():
    """What a process is given to do compiles, and names what is there."""
    compile(mix.SEARCH, "search", "exec")
    assert "from asr.client.microphone import Microphone" in mix.SEARCH
    assert sys.executable
