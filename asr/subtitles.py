"""Words with times -> files: srt and vtt (cues by the usual rules), json, tsv, txt.

A cue has at most two lines of 42 characters and stands 1 to 7 s. It starts with its first word; a pause ends it, and what is
too long for one cue is cut at the widest gap in its second half. Nothing is cut within a word.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:                    # nothing of the decoders is needed to write what they found
    from asr.decoding.hypothesis import Word

LINE_CHARS = 42
SHORTEST_S, LONGEST_S = 1.0, 7.0
PAUSE_S = 0.7                        # a gap between words that ends a cue
PARAGRAPH_PAUSE_S = 2.0              # a gap that ends a line of plain text


@dataclass(frozen=True)
class Cue:
    """What is shown at once: one or two lines."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues(words: Sequence["Word"]) -> list[Cue]:
    """Cut `words` (in order of time) into cues that do not overlap."""
    groups, first = [], 0
    while first < len(words):
        last = _end_of_cue(words, first)
        groups.append(words[first:last])
        first = last
    starts = [group[0].start_s for group in groups] + [float("inf")]
    return [Cue(start_s=group[0].start_s,
                end_s=min(max(group[-1].end_s, group[0].start_s + SHORTEST_S), group[0].start_s + LONGEST_S, starts[index + 1]),
                lines=_lines(_join(group)) or (_join(group),))                         # one word longer than two lines
            for index, group in enumerate(groups)]


def _end_of_cue(words: Sequence["Word"], first: int) -> int:
    """Index after the last word of the cue that starts with words[first]."""
    start_s = words[first].start_s
    last = first + 1
    while last < len(words) and _lines(_join(words[first:last + 1])) and words[last].end_s - start_s <= LONGEST_S:
        gap_s = words[last].start_s - words[last - 1].end_s
        if gap_s >= PAUSE_S and words[last].start_s - start_s >= SHORTEST_S:
            return last
        last += 1
    if last == len(words) or words[last].start_s - words[last - 1].end_s >= PAUSE_S:
        return last
    # full: cut at the widest gap in the second half, the later of equal ones, where the cue can stand long enough
    candidates = [cut for cut in range(first + (last - first + 1) // 2, last + 1)
                  if cut > first and words[cut].start_s - start_s >= SHORTEST_S]
    return max(candidates, key=lambda cut: (words[cut].start_s - words[cut - 1].end_s, cut), default=last)


def _lines(text: str) -> tuple[str, ...] | None:
    """`text` on one line or, as even as it goes, on two; None when it does not fit."""
    if len(text) <= LINE_CHARS:
        return (text,)
    spaces = [at for at, char in enumerate(text) if char == " " and at <= LINE_CHARS and len(text) - at - 1 <= LINE_CHARS]
    if not spaces:
        return None
    middle = min(spaces, key=lambda at: abs(2 * at + 1 - len(text)))
    return text[:middle], text[middle + 1:]


def _join(words: Sequence["Word"]) -> str:
    return " ".join(word.text for word in words)


def _clock(seconds: float, decimal: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{decimal}{ms % 1000:03d}"


def srt(words: Sequence["Word"]) -> str:
    """SubRip: number, times with a comma, lines, empty line."""
    return "".join(f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n" + "\n".join(cue.lines) + "\n\n"
                   for number, cue in enumerate(cues(words), 1))


def vtt(words: Sequence["Word"]) -> str:
    """WebVTT."""
    def escaped(line: str) -> str:
        return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "WEBVTT\n\n" + "".join(f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n" + "\n".join(map(escaped, cue.lines)) + "\n\n"
                                  for cue in cues(words))


def json_text(words: Sequence["Word"]) -> str:
    """One object: `text` and `words` with text, start_s, end_s, confidence."""
    rows = [{"text": word.text, "start_s": round(word.start_s, 3), "end_s": round(word.end_s, 3), "confidence": round(word.confidence, 4)}
            for word in words]
    return json.dumps({"text": _join(words), "words": rows}, ensure_ascii=False, indent=1) + "\n"


def tsv(words: Sequence["Word"]) -> str:
    """A header and a row for each word, seconds with three decimals."""
    return "start_s\tend_s\tconfidence\ttext\n" + "".join(
        f"{word.start_s:.3f}\t{word.end_s:.3f}\t{word.confidence:.4f}\t{word.text}\n" for word in words)


def txt(words: Sequence["Word"]) -> str:
    """Plain text, a new line after each long pause."""
    breaks = [index for index in range(1, len(words)) if words[index].start_s - words[index - 1].end_s >= PARAGRAPH_PAUSE_S]
    return "".join(_join(words[first:last]) + "\n" for first, last in zip([0, *breaks], [*breaks, len(words)], strict=True) if last > first)


FORMATS = {"txt": txt, "srt": srt, "vtt": vtt, "json": json_text, "tsv": tsv}
