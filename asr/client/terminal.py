"""Captions over a whole terminal: the session to scroll back in, the line being spoken, a line of status, keys.

It is drawn on the terminal's second screen, so that scrolling, clearing and a change of size need not fight with what stood there
before; on leaving, the session is written to the first one, where nothing that was seen is lost. Plain ANSI, not Rich: importing
rich.live takes 40 ms of the half second until captions start, and it writes all of its rows anew each time. Here only the rows that
changed are written, ten times a second at most, for 0.3 % of a core.

The worker's thread only puts what it has to say into a queue: a thread of this view draws and reads the keys, so that no terminal,
however slow, holds up the recognition. That thread looks at the terminal's size each time, so no signal is needed for it.
"""

import contextlib
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import TextIO

from asr.client.captions import Final, Partial
from asr.client.display import Display
from asr.client.full_screen import FullScreen
from asr.client.history import History
from asr.client.keys import Keys
from asr.client.layout import Columns, Line, Style, bar_line, line_cells, partial_lines, rendered
from asr.client.requests import Request, Requests, Stop
from asr.client.save import Saved
from asr.client.status import Status

DRAW_EVERY_S = 0.1
EMPTY, CLEAR_REST = "\x1b[2J", "\x1b[K"
CTRL_L, CTRL_S = "\x0c", "\x13"
HELP = (
    "p, space        pause: nothing is shown or kept until pressed again",
    "m               mark this moment in the session",
    "s               save the text so far as a file",
    "c               clear the view, not the session",
    "u               mark the words that are rather wrong, or not",
    "PageUp, arrows  scroll back; Home the beginning, End the newest",
    "q, Ctrl-C       quit, after what was said last",
    "any key         back to the captions",
)


class Terminal:
    """A screen and panel of the worker's. It takes the terminal with the first status; remarks before that are printed as they come.

    Keys put what is asked for into `requests` and `stop`; with `doubts`, words that are rather wrong are marked. `status` and `close`
    are to be called in the main thread, where signals are.
    """

    def __init__(self, requests: Requests, stop: Stop, err: TextIO | None = None, doubts: bool = True):
        self._requests, self._stop, self._err, self._doubts = requests, stop, err or sys.stderr, doubts
        self._said: SimpleQueue[Partial | Final | str] = SimpleQueue()
        self._printed = 0                                    # remarks that stand on the first screen already
        self._status = Status("")
        self._screen = FullScreen()
        self._history, self._keys = History(), Keys()
        self._partial: Partial | None = None
        self._drawn: list[Line] = []                         # what stands in each row, on a terminal of so many columns
        self._drawn_columns = 0
        self._help = self._ending = self._suspend = False
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def show(self, caption: Partial | Final):
        """A caption, drawn soon."""
        self._said.put(caption)

    def remark(self, text: str):
        """A line that is no caption. It is kept among them."""
        if not self._thread:
            print(text, file=self._err, flush=True)
            self._printed += 1
        self._said.put(text)

    def status(self, status: Status):
        """How the listening goes."""
        self._status = status
        if not self._thread and not self._ending:
            self._open()

    def close(self):
        """Give the terminal back, and print there what was said."""
        if not self._thread:
            return
        self._ending = True
        try:
            self._thread.join(timeout=2)                     # a terminal that takes nothing any more is not waited for
        finally:
            self._thread = None
            left = self._screen.leave()
            signal.signal(signal.SIGTSTP, self._suspended_by)
        if left:
            self._print_session()
        if self._failure:
            raise self._failure

    def _open(self):
        self._started = self._status.started.astimezone()
        self._started_s = time.monotonic() - (datetime.now(UTC) - self._started).total_seconds()
        self._saved = Saved(self._started)
        self._screen.enter()
        self._suspended_by = signal.signal(signal.SIGTSTP, self._ask_to_suspend)
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def _print_session(self):
        self._take_in()
        plain = Display(err=self._err)
        remarks = 0
        for _, what in self._history.entries:
            if isinstance(what, Final):
                plain.show(what)
            elif (remarks := remarks + 1) > self._printed:
                plain.remark(what)
        if self._status.file:
            plain.remark(f"kept in {self._status.file}")

    def _ask_to_suspend(self, *_signal):
        self._suspend = True

    def _run(self):
        """The view's thread."""
        try:
            while not self._ending:
                self._draw()
                if select.select([self._screen.keyboard], [], [], DRAW_EVERY_S)[0]:
                    self._type(self._screen.read())
                else:
                    self._keys.drop_begun()
                if self._suspend:
                    self._stop_for_a_while()
        except Exception as error:
            self._failure = error
            self._stop.ask()                                 # `close` raises it once the last words are kept

    def _stop_for_a_while(self):
        """What Ctrl-Z does to a program; it goes on here after the shell's `fg`."""
        self._suspend = False
        self._screen.leave()
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)     # to this thread: it must not run on while another stops the rest
        self._screen.enter()
        self._drawn = []

    def _take_in(self):
        """What the worker said since the last time."""
        with contextlib.suppress(Empty):
            while True:
                what = self._said.get_nowait()
                if isinstance(what, Partial):
                    self._partial = what
                    continue
                if isinstance(what, Final):
                    self._partial = None
                    if not what.words:                       # the full-context pass found none where the partial had some
                        continue
                self._history.add(self._clock_of(what), what)

    def _clock_of(self, what: Partial | Final | str) -> str:
        at = self._started + timedelta(seconds=time.monotonic() - self._started_s)       # the system's clock may be set meanwhile
        if isinstance(what, Final):
            at = self._started + timedelta(seconds=what.start_s)
        elif isinstance(what, Partial) and what.words:
            at = self._started + timedelta(seconds=what.words[0].start_s)
        return f"{at:%H:%M:%S}"

    def _draw(self):
        """Write the rows that are not as they should be."""
        self._take_in()
        rows, total = self._screen.size()
        columns = Columns(total)
        self._history.lay_out(columns, self._doubts)
        newest = partial_lines(self._partial, self._clock_of(self._partial), columns) if self._partial else []
        if self._help:
            text = [((line[:total - 1], Style.PLAIN),) for line in HELP][:rows - 1]
            text = [*text, *[()] * (rows - 1 - len(text))]
        else:
            text = self._history.page(rows - 1, newest)
        lines = [*text, bar_line(self._status, total)]
        written = ""
        if (len(self._drawn), self._drawn_columns) != (rows, total):
            self._drawn, self._drawn_columns, written = [], total, EMPTY
        for row, line in enumerate(lines):
            if self._drawn[row:row + 1] != [line]:
                written += f"\x1b[{row + 1}H" + rendered(line) + CLEAR_REST * (line_cells(line) < total)
        if written:
            self._screen.write(written)
        self._drawn = lines

    def _type(self, data: bytes):
        """Do what was typed; while help is shown, any key is for leaving it, one without a name too."""
        keys = self._keys.feed(data)
        if self._help:
            self._help = False
            return
        for key in keys:
            self._press(key)

    def _press(self, key: str):
        """Do what a key is for."""
        rows = self._screen.size()[0] - 1
        scrolls = {"up": -1, "down": 1, "page up": 2 - rows, "page down": rows - 2, "home": -len(self._history), "end": len(self._history)}
        actions: dict[str, Callable[[], None]] = {
            "p": self._pause, " ": self._pause, "m": self._mark, "c": self._history.clear,
            "s": self._save, CTRL_S: self._save, "u": self._mark_doubts, "?": self._show_help, "h": self._show_help,
            "q": self._stop.ask, CTRL_L: self._draw_anew,
        }
        if key in scrolls:
            self._history.scroll(scrolls[key], rows)
        elif key.lower() in actions:
            actions[key.lower()]()

    def _pause(self):
        self._requests.put(Request.PAUSE)

    def _mark(self):
        self._requests.put(Request.MARK)

    def _save(self):
        finals = [what for _, what in self._history.entries if isinstance(what, Final)]
        try:
            told = f"saved as {self._saved.write(finals)}"
        except OSError as error:
            told = f"asr: {error.filename}: {error.strerror}; the text is not saved"
        self._history.add(self._clock_of(told), told)

    def _mark_doubts(self):
        self._doubts = not self._doubts

    def _show_help(self):
        self._help = True

    def _draw_anew(self):
        self._drawn = []
