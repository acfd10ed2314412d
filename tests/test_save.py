"""The session's text as a file, when the user asks for it."""

from datetime import datetime
from pathlib import Path

import pytest

from asr.client.captions import Final
from asr.client.save import Saved
from asr.decoding.hypothesis import Word

STARTED = datetime(2026, 1, 2, 3, 4, 5)
SAID = Final((Word("hello", 0, 1, 1.0),), 0, 1, "pause")


def test_a_full_disk_is_named(monkeypatch, tmp_path):
    """The error has the file's path, nothing half-written stays, and later it is saved after all."""
    monkeypatch.chdir(tmp_path)
    saved = Saved(STARTED)
    monkeypatch.setattr("asr.files.token_hex", lambda _: "0")
    (tmp_path / ".captions-2026-01-02-030405.txt.0.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as failed:
        saved.write([SAID])
    assert failed.value.filename == "captions-2026-01-02-030405.txt"
    assert [path.name for path in tmp_path.iterdir()] == ["captions-2026-01-02-030405.txt"]
    assert saved.write([SAID, SAID]) == Path("captions-2026-01-02-030405.txt")
    assert (tmp_path / "captions-2026-01-02-030405.txt").read_text(encoding="utf-8").split() == ["hello", "hello"]
