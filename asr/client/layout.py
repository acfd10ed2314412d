"""Captions and what stands around them -> lines of a terminal, as pure functions of what there is and how wide the terminal is.

A line is made of segments, each with a style; nothing is told by a style alone that no colour-blind reader or bare terminal can
see, and no colour is used: words that may still change are dim and underlined, doubted words dim and followed by a "?".
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from asr.client.captions import Final, Partial
from asr.client.status import Status

TEXT_COLUMNS = 100                   # longer lines lose the eye on its way back
WIDE_COLUMNS = 120                   # from here on there is room for the time beside each utterance
TIME_COLUMNS = 10
INDENT = 2                           # of an utterance's further lines
DOUBTED_BELOW = 0.5                  # a word's chance to be right; page/lines.js has the same
METER_CELLS, METER_CELL_DB = 12, 5   # -60 to 0 dB
SOURCE_SHARE = 5                     # a fifth of the columns, at most, for the device's name


class Style(StrEnum):
    """How a segment looks: the numbers of ANSI's "select graphic rendition"."""

    PLAIN = ""
    OPEN = "2;4"                     # dim, underlined
    DOUBTED = "2"
    REMARK = "3"                     # italic
    BAR = "7"                        # reversed
    ALERT = "1;7"


Segment = tuple[str, Style]
Line = tuple[Segment, ...]


@dataclass(frozen=True)
class Columns:
    """Where the text stands in a terminal of so many columns: in the middle, of a width that can be read."""

    total: int

    @property
    def timed(self) -> bool:
        """Whether the time stands beside each utterance."""
        return self.total >= WIDE_COLUMNS

    @property
    def text(self) -> int:
        """Columns for words."""
        return max(8, min(self.total - 2 - TIME_COLUMNS * self.timed, TEXT_COLUMNS))

    @property
    def margin(self) -> int:
        """Columns to the left of everything."""
        return max(0, self.total - self.text - TIME_COLUMNS * self.timed) // 2


def final_lines(final: Final, clock: str, columns: Columns, doubts: bool) -> list[Line]:
    """An utterance that does not change any more. With `doubts`, words that are rather wrong are marked."""
    words = [(f"{word.text}?", Style.DOUBTED) if doubts and word.confidence < DOUBTED_BELOW else (word.text, Style.PLAIN)
             for word in final.words]
    return _placed(words, clock, columns)


def partial_lines(partial: Partial, clock: str, columns: Columns) -> list[Line]:
    """An utterance that is being spoken: committed words as they are, the rest marked as open."""
    return _placed([(word.text, Style.OPEN if index >= partial.committed else Style.PLAIN) for index, word in enumerate(partial.words)],
                   clock, columns)


def remark_lines(text: str, clock: str, columns: Columns) -> list[Line]:
    """A line that is no caption: in brackets, as captions have it for what nobody says."""
    return _placed([(word, Style.REMARK) for word in f"[{text}]".split()], clock, columns)


def bar_line(status: Status, columns: int) -> Line:
    """The status, as much of it as fits: what warns first, then the meter, what is heard, the delay, what is kept, the way to help."""
    lost = [f"lost {status.lost_s:.1f} s"] * (status.lost_s > 0) + [f"{status.overflows} overflows"] * (status.overflows > 0)
    told = "PAUSED" if status.paused else "NO SIGNAL" if status.no_signal else ""
    db = f"{_cells_of(status.level_dbfs) * METER_CELL_DB - METER_CELLS * METER_CELL_DB:3d} dB"
    kept = "not kept" if not status.kept else status.file.name if status.file and columns >= WIDE_COLUMNS else "kept"
    pieces = [                                               # (what goes first when there is no room, text)
        (0, told), (0, ", ".join(lost)), (3, "REC" * status.recorded), (1, meter(status.level_dbfs)), (7, db),
        (4, shortened(status.source, columns // SOURCE_SHARE)), (2, "" if status.delay_s is None else f"delay {status.delay_s:.1f} s"),
        (6, kept), (5, "? keys"),
    ]
    pieces = [(rank, clean(text)) for rank, text in pieces if text]
    while len(pieces) > 1 and sum(cells(text) + 2 for _, text in pieces) > columns:
        pieces.remove(max(pieces))
    text = shortened(" " + "  ".join(text for _, text in pieces), columns)
    style = Style.ALERT if told or lost else Style.BAR
    return ((text, style), (" " * (columns - cells(text)), style))


def meter(level_dbfs: float) -> str:
    """A level as a row of cells."""
    count = _cells_of(level_dbfs)
    return "[" + "|" * count + "." * (METER_CELLS - count) + "]"


def _cells_of(level_dbfs: float) -> int:
    return min(METER_CELLS, max(0, METER_CELLS + round(level_dbfs / METER_CELL_DB)))


def _placed(words: Sequence[Segment], clock: str, columns: Columns) -> list[Line]:
    """Wrapped words where they stand, the time before the first line if there is room."""
    lines = _wrapped(words, columns.text)
    margin, gap = " " * columns.margin, " " * (TIME_COLUMNS * columns.timed)
    placed = []
    for index, line in enumerate(lines):
        lead = clock.ljust(TIME_COLUMNS) if columns.timed and index == 0 else gap
        placed.append(((margin + lead, Style.DOUBTED if lead.strip() else Style.PLAIN), *line))
    return placed


def _wrapped(words: Sequence[Segment], width: int) -> list[Line]:
    """Words on lines of at most `width` columns, broken between them; one that is too long for a line is broken within."""
    lines: list[Line] = []
    line: list[Segment] = []
    used = 0
    for word, style in words:
        for part in _cut(clean(word), width - INDENT):
            if line and used + 1 + cells(part) > width:
                lines.append(tuple(line))
                line, used = [(" " * INDENT, Style.PLAIN)], INDENT
            elif line:
                line.append((" ", style if style == line[-1][1] else Style.PLAIN))
                used += 1
            line.append((part, style))
            used += cells(part)
    return [*lines, tuple(line)] if line else lines


def _cut(word: str, width: int) -> list[str]:
    parts, used = [""], 0
    for sign in word:
        if used + cells(sign) > width and parts[-1]:
            parts.append("")
            used = 0
        parts[-1] += sign
        used += cells(sign)
    return parts


def rendered(line: Line) -> str:
    """With the codes of its styles."""
    texts = [(style, "".join(text for text, _ in run)) for style, run in groupby(line, key=lambda segment: segment[1])]
    return "".join(f"\x1b[{style}m{text}\x1b[0m" if style else text for style, text in texts)


def shortened(text: str, columns: int) -> str:
    """At most so many columns, with an ellipsis in place of the end."""
    text = clean(text)
    if cells(text) <= columns:
        return text
    while text and cells(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def clean(text: str) -> str:
    """Without the control characters that a device or file name may hold: they would move the cursor."""
    return "".join("?" if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in text) if not text.isprintable() else text


def cells(text: str) -> int:
    """Columns that a terminal gives to a text: two for a wide character, none for one that stands on the one before."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def line_cells(line: Line) -> int:
    """Columns of a line."""
    return sum(cells(text) for text, _ in line)
