"""Several devices at once as one source: both sides of a call, say, the microphone and what the computer plays (tracks.py mixes them).

A device that fails costs the others a moment, not their captions: PortAudio lists devices anew only when it starts anew, which ends all
open streams, so all are closed and those that are there are opened. What is missing is looked for by a process of its own, whose
PortAudio is not ours, and taken up again once that can open it. `name` says which devices are heard. Only when none is left is that a
`problem`. A device that delivers nothing from its opening on is no failure: there are monitors of what is played that have no sound to
deliver while nothing is.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from asr.client.capture import CaptureQueue
from asr.client.microphone import Microphone, find_device, look_again
from asr.client.tracks import STEP_S, Mixer, Track
from asr.config import RATE_HZ
from asr.errors import AsrError, DeviceError

ANEW_EVERY_S = 10.0                  # a device that fails again and again must not interrupt the others all the time
SEARCH_EVERY_S = 10.0
SEARCH = "import sys; from asr.client.microphone import Microphone; Microphone(sys.argv[1]).close()"


class Mix:
    """The devices that are `wanted`, by number, name or a part of that, mixed into `queue` by a thread; close() ends it.

    Raises DeviceError when one cannot be opened or is named twice, and what Microphone raises.
    """

    tail_s = Microphone.tail_s
    rate_hz = RATE_HZ
    ended = False

    def __init__(self, wanted: Sequence[str]):
        self.problem: AsrError | None = None
        self.may_return = True       # not after an error in the thread
        self.queue = CaptureQueue(RATE_HZ)
        self._wanted = _lasting(wanted)
        self._names = {wanted: wanted for wanted in self._wanted}            # as the system has them
        self._tracks: dict[str, Track] = {}                  # of the devices that are open
        self._pausing: set[str] = set()                      # devices that have been seen to deliver nothing and be there
        self._search: Search | None = None
        self._lost_overflows = 0                             # of devices that are closed
        if failures := self._open(None):
            self._close_devices()
            raise failures[0]
        self.started = datetime.now(UTC)
        self._start()

    @property
    def overflows(self) -> int:
        """Times the system lost sound of any device."""
        return self._lost_overflows + sum(track.microphone.overflows for track in self._tracks.values())

    def reopen(self) -> bool:
        """After a problem: try once to open all devices anew, with a new queue. True when one is there; the others are looked for."""
        self._halt()
        self._close_devices()
        self.queue = CaptureQueue(RATE_HZ)
        look_again()
        self._open(None)             # whoever calls counts the time that has passed
        if not self._tracks:
            return False
        self.problem = None
        self._start()
        return True

    def close(self):
        """End the recording; what has come until then is in the queue."""
        self._halt()
        self._close_devices()

    def _open(self, since_s: float | None) -> list[AsrError]:
        """Open each device that is there -> what is wrong with the others. The mix goes on from `since_s`."""
        failures, tracks = [], {}
        for wanted in self._wanted:
            try:
                microphone = Microphone(wanted)
            except DeviceError as error:
                failures.append(error)
                continue
            self._names[wanted] = microphone.name
            try:
                tracks[wanted] = Track(microphone)
            except AsrError as error:
                microphone.close()
                failures.append(error)
        self._tracks = tracks
        self._mixer = Mixer(list(tracks.values()), self.queue, since_s)
        missing = [wanted for wanted in self._wanted if wanted not in tracks]
        self._search = Search(missing) if missing else None
        self._opened_s = time.monotonic()
        self.name = self._describe()
        return failures

    def _close_devices(self) -> float | None:
        """Close them, mix what they delivered -> the monotonic time at which that ends."""
        if self._search:
            self._search.close()
        for track in self._tracks.values():
            track.microphone.close()
        ended_s = self._mixer.finish() if self.may_return else None
        self._mixer = Mixer([], self.queue)
        overflows, self._tracks = self.overflows, {}
        self._lost_overflows = overflows
        return ended_s

    def _describe(self) -> str:
        there = [name for wanted, name in self._names.items() if wanted in self._tracks]
        missing = " and ".join(name for wanted, name in self._names.items() if wanted not in self._tracks)
        return " and ".join(there) + f", without {missing}" * bool(missing) if there else missing

    def _start(self):
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mix", daemon=True)
        self._thread.start()

    def _halt(self):
        """End the thread: what follows has the devices for itself."""
        self._ending.set()
        self._thread.join()

    def _run(self):
        try:
            while not self._ending.wait(STEP_S):
                self._mixer.step()
                if not self.problem:
                    self._watch()
        except Exception as error:   # whatever it is, the user is told, not left with captions that never come
            self.may_return = False
            self.problem = error if isinstance(error, AsrError) else DeviceError(f"{self.name}: cannot be mixed ({error!r}); start again")

    def _watch(self):
        """Open all anew when one has failed or is found again; when all have failed it is for whoever listens to say."""
        problems = {wanted: problem for wanted, track in self._tracks.items() if (problem := track.microphone.problem)}
        failed = []
        for wanted in problems:
            track = self._tracks[wanted]
            if not track.heard and len(problems) < len(self._tracks):
                self._pausing.add(wanted)
            if track.microphone.stopped or wanted not in self._pausing:
                failed.append(wanted)
        if len(failed) == len(self._tracks):
            self.problem = problems[failed[0]] if failed else DeviceError(f"{self.name}: cannot be opened any more")
        elif (self._search and self._search.found()) or (failed and time.monotonic() - self._opened_s > ANEW_EVERY_S):
            ended_s = self._close_devices()
            look_again()
            self._open(ended_s)


class Search:
    """Looks for devices that are missing, one after the other, every ten seconds, in a process that opens and closes them."""

    def __init__(self, missing: list[str]):
        self._missing, self._tries = missing, 0
        self.process: subprocess.Popen | None = None
        self._next_s = time.monotonic() + SEARCH_EVERY_S

    def found(self) -> bool:
        """Whether one is back. To be asked again and again; it never waits."""
        if self.process and self.process.poll() is not None:
            found, self.process = self.process.returncode == 0, None
            return found
        if not self.process and time.monotonic() >= self._next_s:
            wanted = self._missing[self._tries % len(self._missing)]
            self.process = subprocess.Popen([sys.executable, "-c", SEARCH, wanted], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL)
            self._tries += 1
            self._next_s = time.monotonic() + SEARCH_EVERY_S
        return False

    def close(self):
        """End the process, if one runs."""
        if self.process:
            self.process.kill()
            self.process.wait()


def _lasting(wanted: Sequence[str]) -> list[str]:
    """What is wanted, by name where it is a number and the name tells as much: numbers change when devices come and go."""
    devices = [find_device(each) for each in wanted]
    lasting = []
    for each, device in zip(wanted, devices):
        twice = [other for other, same in zip(wanted, devices) if same.index == device.index]
        if len(twice) > 1:
            raise DeviceError(f"{device.name}: named twice, by --device {twice[0]} and {twice[1]}; name each device once, "
                              "asr live --list-devices has them all")
        lasting.append(_name_of(device) if each == str(device.index) else each)
    return lasting


def _name_of(device):
    try:
        return device.name if find_device(device.name).index == device.index else str(device.index)
    except DeviceError:              # several have that name
        return str(device.index)
