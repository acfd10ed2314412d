"""Draw captions.svg, the README's picture: what a terminal shows while the captions run. Usage: python recordings/picture.py [SECONDS]

`asr live` runs in a pseudo-terminal with sample.flac as its sound, is stopped after SECONDS, and its screen is written as SVG.
"""

import os
import pty
import re
import select
import sys
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
ROWS, COLUMNS = 14, 80
ROW = re.compile(r"\x1b\[(\d+)H(.*?)(?:\x1b\[K)?(?=\x1b\[\d+H|\x1b\[2J|$)", re.DOTALL)         # as asr.client.terminal writes one


def main(seconds: float) -> None:
    """Run, stop, draw."""
    lines = screen(run_in_terminal(seconds))
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for line in lines:
            console.print(Text.from_ansi(line))
        picture = console.export_svg(title="asr live")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)             # it would fetch a font from the network
    (HERE / "captions.svg").write_text(picture.replace("Fira Code, ", ""), encoding="utf-8")


def run_in_terminal(seconds: float) -> str:
    """What `asr live` writes to its terminal in so many seconds."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        termios.tcsetwinsize(0, (ROWS, COLUMNS))
        os.chdir(HERE.parent)
        os.execv(sys.executable, [sys.executable, "-m", "asr", "live", "--input", "recordings/sample.flac"])
    written, end_s = b"", time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0 and select.select([terminal], [], [], left_s)[0]:
        try:
            written += os.read(terminal, 65536)
        except OSError:              # it ended by itself
            break
    os.kill(child, 9)                # not Ctrl-C: the last, unfinished line is to be seen
    os.waitpid(child, 0)
    return written.decode("utf-8", errors="replace")


def screen(written: str) -> list[str]:
    """The rows that stand in the end: of each the last that was written."""
    rows = {int(row): text for row, text in ROW.findall(written)}
    return [rows.get(row, "") for row in range(1, ROWS + 1)]


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 32.0)
