"""The units that the model's two heads tell apart, and their files: one unit a line, the id is the line's number, `<blank>` first.

phones.txt: `<blank>`, the 39 phones of ARPAbet without stress, and `|`, which ends every word.
pieces.txt: `<blank>`, then word pieces of lower-case letters and the apostrophe; `▁` begins a word.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.errors import DataError

BLANK = "<blank>"
BLANK_ID = 0
WORD_END = "|"                       # a phone unit: after the last phone of every word
WORD_START = "▁"                     # begins the first piece of every word (U+2581, as sentencepiece writes it)
SPOKEN_PHONES = ["AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
                 "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"]
PHONES = [BLANK, *SPOKEN_PHONES, WORD_END]


class Units:
    """An ordered list of units; maps units to ids and back. Never changes.

    `where` (a file's name, say) begins the text of a DataError: `<blank>` not first, a unit that is empty, has a space or occurs twice.
    """

    def __init__(self, units: Iterable[str], where: str = "units"):
        self.units = tuple(units)
        self._ids = {}
        for line, unit in enumerate(self.units, start=1):
            if (line == 1) != (unit == BLANK):
                raise DataError(f"{where}:{line}: found {unit!r}; {BLANK} must be the first unit and only that")
            if not unit or unit.split() != [unit]:
                raise DataError(f"{where}:{line}: unit {unit!r} is empty or has a space in it; one unit a line")
            if unit in self._ids:
                raise DataError(f"{where}:{line}: unit {unit!r} stands in line {self._ids[unit] + 1} already")
            self._ids[unit] = line - 1
        if not self.units:
            raise DataError(f"{where}: no units in it")

    @classmethod
    def read(cls, path: str | Path) -> "Units":
        """The units of a file. Raises DataError with file:line."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not UTF-8 at byte {error.start}") from error
        return cls(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"), str(path))

    def write(self, path: str | Path) -> None:
        """Writes one unit a line, UTF-8, a line feed after each."""
        Path(path).write_bytes("".join(f"{unit}\n" for unit in self.units).encode())

    def ids(self, units: Iterable[str]) -> list[int]:
        """Ids of `units`. Raises DataError for one that is not here."""
        try:
            return [self._ids[unit] for unit in units]
        except KeyError as error:
            raise DataError(f"{error.args[0]!r} is none of the {len(self.units)} units") from None

    def text(self, ids: Sequence[int]) -> str:
        """The words that the word pieces `ids` spell, one space between them; blanks are skipped."""
        return "".join(self.units[i] for i in ids if i != BLANK_ID).replace(WORD_START, " ").strip()

    def __contains__(self, unit: str) -> bool:
        return unit in self._ids

    def __getitem__(self, index: int) -> str:
        return self.units[index]

    def __len__(self) -> int:
        return len(self.units)


def phone_units() -> Units:
    """The units of the phone head, in the order of PHONES."""
    return Units(PHONES, "phones")
