"""Bytes from a terminal's keyboard -> names of keys."""

import re

NAMES = {
    b"[A": "up", b"[B": "down", b"OA": "up", b"OB": "down", b"[5~": "page up", b"[6~": "page down",
    b"[H": "home", b"OH": "home", b"[1~": "home", b"[7~": "home", b"[F": "end", b"OF": "end", b"[4~": "end", b"[8~": "end",
}
SEQUENCE = re.compile(rb"\x1b(\[[\d;]*[A-Za-z~]|O[A-Za-z])|([^\x1b])|\x1b(?!$|[\[O])", re.DOTALL)
CUT = re.compile(rb"\x1b(\[[\d;]*|O)?$")                     # the beginning of a sequence whose rest is still to come


class Keys:
    """Names what is pressed, over reads that may cut a key's bytes in two. Keys that it does not know are left out."""

    def __init__(self):
        self._begun = b""

    def drop_begun(self):
        """When nothing came for a while: Esc was pressed alone, the rest of a sequence would be here."""
        self._begun = b""

    def feed(self, data: bytes) -> list[str]:
        """A name for a key of NAMES, else the character (ASCII)."""
        data = self._begun + data
        self._begun = found[0] if (found := CUT.search(data)) else b""
        data = data[:len(data) - len(self._begun)]
        names = [NAMES.get(match[1], "") if match[1] else (match[2] or b"").decode("ascii", "ignore") for match in SEQUENCE.finditer(data)]
        return [name for name in names if name]
