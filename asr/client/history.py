"""What was said in this session and which part of it is in view: lines at the width of the terminal, laid out again when that changes."""

from bisect import bisect_left
from collections.abc import Sequence

from asr.client.captions import Final
from asr.client.layout import Columns, Line, Style, final_lines, remark_lines

Entry = tuple[str, Final | str]      # the time on the clock; an utterance or a remark


class History:
    """Grows at its end. The view follows that, or stands where the user has scrolled to, whatever comes."""

    def __init__(self):
        self.entries: list[Entry] = []
        self._lines: list[Line] = []
        self._ends: list[int] = []                           # of each entry in `_lines`
        self._columns, self._doubts = Columns(80), True
        self._bottom: int | None = None                      # the line below the last in view; None: the newest is in view
        self._cleared = 0                                    # entries before this one are not in view until the user scrolls back

    def __len__(self):
        """Lines."""
        return len(self._lines)

    def add(self, clock: str, what: Final | str):
        """An utterance that is final, or a remark."""
        self.entries.append((clock, what))
        self._lay_out(self.entries[-1])

    def lay_out(self, columns: Columns, doubts: bool):
        """Break the lines anew if the width, or whether doubted words are marked, is not as it was."""
        if (columns, doubts) == (self._columns, self._doubts):
            return
        last = None if self._bottom is None else bisect_left(self._ends, self._bottom)
        self._columns, self._doubts, self._lines, self._ends = columns, doubts, [], []
        for entry in self.entries:
            self._lay_out(entry)
        self._bottom = None if last is None or last == len(self._ends) - 1 else self._ends[last]

    def _lay_out(self, entry: Entry):
        clock, what = entry
        self._lines += (final_lines(what, clock, self._columns, self._doubts) if isinstance(what, Final)
                        else remark_lines(what, clock, self._columns))
        self._ends.append(len(self._lines))

    def page(self, rows: int, newest: Sequence[Line]) -> list[Line]:
        """So many lines, the lowest last; `newest` are those of the utterance that is being spoken."""
        if self._bottom is None:
            first = self._ends[self._cleared - 1] if self._cleared else 0
            shown = [*self._lines[max(first, len(self._lines) - rows):], *newest][-rows:]
        else:
            below = len(self._lines) + len(newest) - self._bottom
            note = f" {below} newer line{'s' * (below > 1)} below; End shows the newest "[:self._columns.total]
            shown = [*self._lines[max(0, self._bottom - rows + 1):self._bottom], ((note, Style.ALERT),)]
        return [()] * (rows - len(shown)) + shown

    def scroll(self, lines: int, rows: int):
        """Down by so many lines, or up where negative; `rows` are in view."""
        if lines < 0:
            self._cleared = 0
        bottom = max((len(self._lines) if self._bottom is None else self._bottom) + lines, rows - 1)
        self._bottom = bottom if bottom < len(self._lines) else None

    def clear(self):
        """An empty view; what was in it is back when the user scrolls back."""
        self._cleared, self._bottom = len(self.entries), None
