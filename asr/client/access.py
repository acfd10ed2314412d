"""Who may read the captions: what a request's Host, Origin and token must be. Knows of no server; a refusal is a line for its reader.

Any page in a browser may send requests to this machine. Its Origin gives it away, and where its own name was made to lead here
(DNS rebinding), the Host does. Where the server can be reached from other machines, a token that only the printed address holds is
needed too. It is a part of the address and no cookie: a browser source in streaming software is set by its address alone, and
a cookie would go to every port of the machine and with requests that other pages make.
"""

import hmac
import re
import secrets
import socket
from ipaddress import ip_address
from urllib.parse import parse_qs

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:/@?#\s]+))(?::\d+)?", re.IGNORECASE)


class Access:
    """The rules of a server that is bound to `host`, which is `address` (an IP address)."""

    def __init__(self, host: str, address: str):
        self._names = {*LOOPBACK, host.lower(), address}
        self.token: str | None = None                        # None: not needed
        if not ip_address(address).is_loopback:
            self.token = secrets.token_urlsafe(16)
            name = socket.gethostname().lower()
            self._names |= {name, f"{name}.local"}
        self._names -= {"0.0.0.0", "::"}                     # every address to bind to, but none to be called by

    def refusal(self, scope: dict, public: bool = False) -> str | None:
        """Why a request (its ASGI scope) is refused, or None. A `public` one needs no token."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        found = HOST.fullmatch(host)
        name = (found["ipv6"] or found["name"]).lower() if found else ""
        if name not in self._names and name != _arrived_at(scope):
            return f"asr: refused: the address names {host or 'no host'}; open the one that asr live printed"
        if (scope["type"] == "websocket" or origin is not None) and (origin or "").lower() != f"http://{host}".lower():
            return f"asr: refused: {origin or 'a program that names no origin'} is not this page"
        if self.token and not public:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return "asr: refused: the token in the address is missing or old; open the address that asr live printed"
        return None


def _arrived_at(scope: dict) -> str | None:
    """The machine's own address that a request came to, as a Host has it."""
    try:
        address = ip_address((scope.get("server") or ("",))[0].partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)           # a socket for both kinds calls IPv4 addresses ::ffff:...
    return str(mapped or address)
