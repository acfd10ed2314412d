"""What was heard in each utterance, kept as it comes: a run that was stopped goes on with it."""

from collections.abc import Sequence
from pathlib import Path

from asr.files import write_whole
from asr.training.manifests import read_table


class Labels:
    """A TSV with an utterance a line and fields of `columns`, `utterance` first; its last line may be cut short by what ended a run."""

    def __init__(self, path: Path, columns: Sequence[str]):
        self._path, self._columns = path, tuple(columns)
        whole = path.read_text(encoding="utf-8") if path.exists() else ""
        if whole and not whole.endswith("\n"):
            whole = whole[: whole.rfind("\n") + 1]
            write_whole(path, whole)
        self.rows = {row["utterance"]: row for _, row in read_table(path, self._columns)} if whole else {}

    def add(self, *fields: str) -> None:
        """One more line, in the file when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write("" if file.tell() else "\t".join(self._columns) + "\n")
            file.write("\t".join(fields) + "\n")
        self.rows[fields[0]] = dict(zip(self._columns, fields, strict=True))
