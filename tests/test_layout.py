"""What the view over a whole terminal shows: every line fits, nothing is lost, what is not sure is marked, and scrolling stands still."""

import re
from pathlib import Path

import pytest

from asr.client.captions import Final, Partial
from asr.client.history import History
from asr.client.keys import Keys
from asr.client.layout import DOUBTED_BELOW, Columns, Line, Style, bar_line, final_lines, line_cells, partial_lines, remark_lines, rendered
from asr.client.status import Status
from asr.decoding.hypothesis import Word

ROOT = Path(__file__).parents[1]
LONG = " ".join(f"word{n}" for n in range(40))


def words(text: str, confidence: float = 0.9) -> tuple[Word, ...]:
    """Words of one confidence."""
    return tuple(Word(word, 0, 1, confidence) for word in text.split())


def final(text: str, confidence: float = 0.9) -> Final:
    """A final of these words."""
    return Final(words(text, confidence), 0, 1, "pause")


def plain(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


def page(history: History, rows: int, newest: list[Line] = ()) -> list[str]:
    """What is in view, without styles and margins."""
    return [plain(line).strip() for line in history.page(rows, newest)]


@pytest.mark.parametrize("total", [200, 80, 20])
def test_every_line_fits_and_no_word_is_lost(total):
    """At any width lines keep to it and to a length that can be read, with the time beside them where there is room."""
    lines = final_lines(final(LONG), "12:34:56", Columns(total), doubts=True)
    shown = [plain(line) for line in lines]
    assert max(map(line_cells, lines)) <= total
    assert max(len(line.strip().removeprefix("12:34:56  ")) for line in shown) <= 100
    assert " ".join(shown).replace("12:34:56", "").split() == LONG.split()
    assert ("12:34:56" in shown[0]) == (total == 200)
    assert {line.index("w") for line in shown[1:]} == {shown[0].index("w") + 2}            # further lines are indented


def test_wide_signs_and_control_characters():
    """Wide characters take two columns, a word longer than a line is broken, and no name can move the cursor."""
    lines = remark_lines("マイク" * 20 + " \x1b[2J\r麦克风\n", "", Columns(40))
    assert max(map(line_cells, lines)) <= 40
    text = "".join(plain(line) for line in lines)
    assert text.count("マイク") + sum(text.count(cut) for cut in ("マ  ", "マイ  ")) >= 18
    assert not {"\x1b", "\r", "\n"} & set(text)


def test_words_that_may_change_are_marked():
    """Committed words look like those of a final; the others are dim and underlined."""
    [line] = partial_lines(Partial(words("the cat sat"), 1), "", Columns(80))
    assert [segment for segment in line if segment[0].strip()] == [("the", Style.PLAIN), ("cat", Style.OPEN), ("sat", Style.OPEN)]
    assert rendered(line) == " the \x1b[2;4mcat sat\x1b[0m"


def test_a_line_of_committed_words_stays():
    """While an utterance grows, the lines that are full of committed words stay as they are."""
    spoken = words(LONG)
    before: list[Line] = []
    for count in range(3, 40):
        lines = partial_lines(Partial(spoken[:count], count - 2), "", Columns(40))
        assert lines[:len(before)] == before
        before = [line for line in lines[:-1] if not any(style == Style.OPEN for _, style in line)]
    assert len(before) > 5


def test_doubted_words():
    """They are dim and have a question mark; who wants neither gets the words alone."""
    doubted = Final((*words("the"), *words("cat", 0.3)), 0, 1, "pause")
    [line] = final_lines(doubted, "", Columns(80), doubts=True)
    assert rendered(line) == " the \x1b[2mcat?\x1b[0m"
    [line] = final_lines(doubted, "", Columns(80), doubts=False)
    assert rendered(line) == " the cat"


def test_the_page_doubts_the_same_words():
    """One threshold."""
    script = (ROOT / "asr" / "client" / "page" / "lines.js").read_text(encoding="utf-8")
    assert float(re.search(r"const UNSURE = ([\d.]+);", script)[1]) == DOUBTED_BELOW


def test_the_status_keeps_to_its_line():
    """All of it where there is room, the warnings wherever they must be; a device's long name is cut."""
    status = Status("USB Audio Device: Microphone (hw:1,0)", -24, delay_s=0.62, kept=True, file=Path("/x/2026-11-28-140322.jsonl"))
    assert plain(bar_line(status, 200)).split("  ")[:5] == [
        " [|||||||.....]", "-25 dB", "USB Audio Device: Microphone (hw:1,0)", "delay 0.6 s", "2026-11-28-140322.jsonl"]
    assert plain(bar_line(status, 80)).rstrip() == " [|||||||.....]  -25 dB  USB Audio Devic…  delay 0.6 s  kept  ? keys"
    assert "not kept" in plain(bar_line(Status("m"), 80))
    for columns in (10, 20, 80, 200):
        assert line_cells(bar_line(status, columns)) == columns
    for warned, text in [(Status("m", paused=True), "PAUSED"), (Status("m", no_signal=True), "NO SIGNAL"),
                         (Status("m", lost_s=1.24), "lost 1.2 s"), (Status("m", overflows=3), "3 overflows")]:
        [(shown, style), _] = bar_line(warned, 20)
        assert (shown.strip().startswith(text), style) == (True, Style.ALERT)


def test_the_newest_line_is_the_lowest():
    """A page is filled from below; what is being spoken comes last."""
    history = History()
    history.add("", "ready")
    for n in range(3):
        history.add("", final(f"line{n}"))
    newest = partial_lines(Partial(words("now"), 1), "", Columns(80))
    assert page(history, 7, newest) == ["", "", "[ready]", "line0", "line1", "line2", "now"]
    assert page(history, 3, newest) == ["line1", "line2", "now"]


def test_scrolled_back_the_view_stands_still():
    """What comes meanwhile is counted, not shown, until the user goes to the end."""
    history = History()
    for n in range(20):
        history.add("", final(f"line{n}"))
    history.scroll(-10, 5)
    assert page(history, 5) == ["line6", "line7", "line8", "line9", "10 newer lines below; End shows the newest"]
    history.add("", final("line20"))
    assert page(history, 5) == ["line6", "line7", "line8", "line9", "11 newer lines below; End shows the newest"]
    history.scroll(-100, 5)
    assert page(history, 5)[:4] == ["line0", "line1", "line2", "line3"]
    history.scroll(+5, 5)
    assert page(history, 5)[:4] == ["line5", "line6", "line7", "line8"]
    history.scroll(+100, 5)
    assert page(history, 5) == ["line16", "line17", "line18", "line19", "line20"]


def test_a_new_width_keeps_the_place():
    """After a change of size the same utterance is in view, every line broken anew."""
    history = History()
    for n in range(20):
        history.add("", final(f"utterance {n} " + LONG))
    history.scroll(-30, 8)
    before = next(line for line in reversed(page(history, 8)) if line.startswith("utterance"))
    history.lay_out(Columns(30), doubts=True)
    assert before.split()[:2] in [line.split()[:2] for line in page(history, 40)]
    assert max(map(line_cells, history.page(40, []))) <= 30


def test_a_cleared_view():
    """It is empty but for what comes, and scrolling back still finds what was there."""
    history = History()
    for n in range(9):
        history.add("", final(f"line{n}"))
    history.clear()
    assert page(history, 3) == ["", "", ""]
    history.add("", final("new"))
    assert page(history, 3) == ["", "", "new"]
    history.scroll(-1, 3)
    assert page(history, 3)[:2] == ["line7", "line8"]
    history.clear()
    history.scroll(-1, 20)                                   # all of it fits
    assert page(history, 20)[-2:] == ["line8", "new"]


def test_keys_come_whole():
    """A key's bytes may come in two reads; what is unknown is left out."""
    keys = Keys()
    assert keys.feed(b"p\x1b[5~\x1bOA \x1b[1;5Cq") == ["p", "page up", "up", " ", "q"]
    assert [keys.feed(bytes([byte])) for byte in b"\x1b[6~m"] == [[], [], [], ["page down"], ["m"]]
    assert keys.feed("é\x1b".encode()) == []
    assert keys.feed(b"s") == ["s"]


def test_esc_alone_swallows_nothing():
    """What is typed a while after it is no end of a sequence."""
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    keys.drop_begun()
    assert keys.feed(b"[A") == ["[", "A"]
