"""The caption page's server: what viewers are sent, whom it refuses, and that no viewer holds it up."""

import contextlib
import http.client
import json
import re
import socket
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asr.client import server as module
from asr.client.captions import Final, Partial
from asr.client.server import CaptionServer
from asr.client.viewers import Feed
from asr.decoding.hypothesis import Word
from asr.errors import AsrError
from asr.subtitles import FORMATS
from tests.browser import until

WAIT_S = 30                          # the machine may be busy


def words(text: str, start_s: float = 0) -> tuple[Word, ...]:
    """A word each half second."""
    return tuple(Word(word, start_s + at / 2, start_s + at / 2 + 0.4, 0.9) for at, word in enumerate(text.split()))


def final(text: str, start_s: float = 0) -> Final:
    """A final of these words."""
    return Final(words(text, start_s), start_s, start_s + 1, "pause")


def port(server: CaptionServer) -> int:
    """The one it has."""
    return int(re.search(r":(\d+)/", server.address)[1])


def get(server: CaptionServer, path: str, **headers: str) -> tuple[int, dict, bytes]:
    """Status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", port(server), timeout=WAIT_S)
    try:
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{port(server)}", **headers})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def view(server: CaptionServer, query: str = "", host: str = "127.0.0.1", origin: str | None = "the page's"):
    """A viewer's socket."""
    address = f"{host}:{port(server)}"
    taken = socket.create_connection(("127.0.0.1", port(server)), timeout=WAIT_S)
    return connect(f"ws://{address}/captions{query}", sock=taken, origin=f"http://{address}" if origin == "the page's" else origin,
                   open_timeout=WAIT_S, close_timeout=WAIT_S, max_size=None)


def receive(viewer, kind: str) -> list[dict]:
    """Messages up to and with the first of a kind."""
    found = []
    while not found or found[-1]["type"] != kind:
        found.append(json.loads(viewer.recv(timeout=WAIT_S)))
    return found


def finals(messages: list[dict]) -> list[tuple[int, str]]:
    """Numbers and texts of those that are in messages."""
    return [(row["number"], " ".join(word for word, _ in row["words"])) for message in messages if message["type"] == "finals"
            for row in message["finals"]]


def test_what_a_viewer_is_sent(server):
    """Partials as they change, each final with its number, times and confidences, remarks, and the end; then the socket is closed."""
    with view(server) as viewer:
        assert receive(viewer, "hello")[0]["last"] == 0
        server.show(Partial(words("good mourning", 3), 1))
        assert receive(viewer, "partial") == [
            {"type": "partial", "words": [["good", 0.9], ["mourning", 0.9]], "committed": 1, "start_s": 3}]
        server.show(final("good morning"))
        assert receive(viewer, "finals")[-1]["finals"] == [
            {"number": 1, "start_s": 0, "end_s": 1, "words": [["good", 0.9], ["morning", 0.9]]}]
        server.show(Partial(words("hm"), 0))
        server.show(Final((), 2, 3, "pause"))                # no words after all
        assert [message["words"] for message in receive(viewer, "partial")][-1] in ([], [["hm", 0.9]])
        server.remark("the microphone is gone")
        assert receive(viewer, "remark")[-1]["text"] == "the microphone is gone"
        server.close()
        assert receive(viewer, "ended") == [{"type": "ended"}]
        with pytest.raises(Exception, match="1000"):
            viewer.recv(timeout=WAIT_S)


def test_who_comes_late_gets_what_was_said(server):
    """All finals so far and the newest partial, but no remark from before it."""
    server.remark("long past")
    for text in ("one", "two"):
        server.show(Partial(words(text), 0))
        server.show(final(text))
    server.show(Partial(words("th"), 0))
    server.show(Partial(words("three"), 0))
    for _ in range(3):
        with view(server) as viewer:
            messages = receive(viewer, "partial")
            assert [message["type"] for message in messages] == ["hello", "finals", "partial"]
            assert finals(messages) == [(1, "one"), (2, "two")]
            assert messages[-1]["words"] == [["three", 0.9]]


def test_who_comes_back_gets_what_it_lacks(server):
    """After the number that it names exactly the later finals, once; of another session's number, all."""
    for text in ("one", "two", "three"):
        server.show(final(text))
    server.show(Partial(words("f"), 0))
    with view(server) as viewer:
        session = receive(viewer, "partial")[0]["session"]
    for query, expected in (("?after=1", [2, 3]), (f"?after=2&session={session}", [3]), (f"?after=3&session={session}", []),
                            ("?after=1&session=other", [1, 2, 3]), ("?after=99", [1, 2, 3]), ("?after=x", [1, 2, 3])):
        with view(server, query) as viewer:
            assert [number for number, _ in finals(receive(viewer, "partial"))] == expected


def test_only_so_many_finals_are_kept():
    """The oldest go, the numbers stay right, and a long history comes in several messages."""
    feed = Feed(kept=500)
    for number in range(1, 701):
        feed.show(final(f"word{number}"))
    last, messages = feed.finals_after(0)
    assert len(messages) > 1
    assert (last, finals(map(json.loads, messages))) == (700, [(number, f"word{number}") for number in range(201, 701)])
    assert finals(map(json.loads, feed.finals_after(698)[1])) == [(699, "word699"), (700, "word700")]


@pytest.mark.parametrize(("host", "origin"), [
    ("evil.example", "the page's"), ("127.0.0.1.evil.example", "the page's"), ("0.0.0.0", "the page's"),
    ("127.0.0.1", "http://evil.example"), ("127.0.0.1", "http://127.0.0.1:1"), ("127.0.0.1", "null"), ("127.0.0.1", None)])
def test_strangers_are_refused(server, host, origin):
    """A Host that is not this machine's name, and a socket from any page but this one: 403 and a line that says why."""
    server.show(final("secret"))
    with pytest.raises(InvalidStatus) as refusal, view(server, host=host, origin=origin):
        pass
    assert refusal.value.response.status_code == 403
    headers = {"Host": f"{host}:{port(server)}"} | ({"Origin": origin} if origin and "//" in origin else {})
    if len(headers) > 1 or host != "127.0.0.1":
        status, _, content = get(server, "/captions.txt", **headers)
        assert (status, content.count(b"\n")) == (403, 1)
        assert content.startswith(b"asr: refused: ")
        assert b"secret" not in content


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_this_machines_names_are_good(server, host):
    """Also through a forwarded port, whose number differs."""
    for number in (port(server), 9999):
        status, headers, content = get(server, "/", Host=f"{host}:{number}")
        assert (status, headers["referrer-policy"]) == (200, "no-referrer")
        assert b"<html" in content
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_from_other_machines_a_token_is_needed():
    """Bound elsewhere, page, files and socket need the token of the printed address; the style does not."""
    server = CaptionServer("0.0.0.0", 0)
    server.start()
    try:
        assert not server.is_private
        token = re.fullmatch(r"http://[^/]+/\?token=([\w-]{20,})", server.address)[1]
        for path in ("/", "/captions.txt"):
            assert [get(server, path + query)[0] for query in ("", "?token=", f"?token={token[:-1]}", "?token=%FF", f"?token={token}")] \
                == [403, 403, 403, 403, 200]
        assert get(server, "/style.css")[0] == 200
        assert get(server, f"/?token={token}", Host="evil.example")[0] == 403
        for query in ("", "?token=wrong"):
            with pytest.raises(InvalidStatus), view(server, query):
                pass
        with view(server, f"?token={token}") as viewer:
            assert receive(viewer, "hello")
    finally:
        server.close()


def test_downloads_are_the_subtitles(server):
    """Each form as asr writes it elsewhere, as a file; an unknown one is named with those that there are."""
    for number in range(3):
        server.show(final("good morning everyone", 5 * number))
    spoken = [word for number in range(3) for word in words("good morning everyone", 5 * number)]
    for form, write in FORMATS.items():
        status, headers, content = get(server, f"/captions.{form}")
        assert (status, content.decode()) == (200, write(spoken))
        assert re.fullmatch(rf'attachment; filename="captions-[\d-]+\.{form}"', headers["content-disposition"])
    assert len(json.loads(get(server, "/captions.json")[2])["words"]) == 9
    assert get(server, "/captions.doc")[::2] == (404, b"asr: there is no doc; there are txt, srt, vtt, json, tsv\n")


def test_a_viewer_that_stops_reading(server, monkeypatch):
    """It holds up neither who speaks nor who reads, is sent away, and coming back gets what it lacks."""
    monkeypatch.setattr(module, "SLOW_S", 2.0)
    stalled = socket.socket()
    stalled.settimeout(WAIT_S)
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", port(server)))
    host = f"127.0.0.1:{port(server)}"
    stalled.sendall(f"GET /captions HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
    long, took_s, got = final("o" * 1_000_000), [], []
    with stalled, view(server) as reader:
        receive(reader, "hello")
        for _ in range(12):                                  # 12 MB: more than the system takes for who reads nothing
            started_s = time.thread_time()
            server.show(long)
            took_s.append(time.thread_time() - started_s)
            got += finals(receive(reader, "finals"))
        assert [number for number, _ in got] == list(range(1, 13))
        assert sorted(took_s)[10] < 0.002
        until(lambda: len(server._feed.viewers) == 1)
        size = 0
        while part := stalled.recv(1 << 20):                 # to the end: the server has hung up
            size += len(part)
        assert 1000 < size < 12_000_000
    with view(server, "?after=10") as viewer:
        assert [number for number, _ in finals(receive(viewer, "finals"))] == [11, 12]


def test_a_viewer_hears_that_the_server_is_there(server, monkeypatch):
    """When nobody speaks, too; what is said afterwards still comes."""
    monkeypatch.setattr(module, "ALIVE_S", 0.1)
    with view(server) as viewer:
        assert [message["type"] for message in receive(viewer, "alive")] == ["hello", "alive"]
        server.show(final("here"))
        assert finals(receive(viewer, "finals")) == [(1, "here")]


def test_a_hundred_that_connect_and_leave(server):
    """With and without a word of farewell, one after another and at once; who stays gets everything, and none is left behind."""
    with view(server) as stays:
        receive(stays, "hello")
        for number in range(4):
            with contextlib.ExitStack() as leaving:
                viewers = [leaving.enter_context(view(server)) for _ in range(25)]
                server.show(final(f"word{number}"))
                for viewer in viewers[::2]:
                    viewer.socket.shutdown(socket.SHUT_RDWR)
        got = []
        while len(got) < 4:
            got += finals(receive(stays, "finals"))
        assert [text for _, text in got] == [f"word{number}" for number in range(4)]
        until(lambda: len(server._feed.viewers) == 1)


def test_captions_go_on_after_the_server(server):
    """What is shown after its end is no error; nor is ending twice, or without a beginning."""
    server.close()
    server.show(final("late"))
    server.close()
    CaptionServer("127.0.0.1", 0).close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_machines(host):
    """One line."""
    with pytest.raises(AsrError, match=f"the caption page cannot be served at {host}, port 0: .*; choose with --host an address"):
        CaptionServer(host, 0)
    with pytest.raises(AsrError, match=r"192\.168\.\.1 is no address; choose with --host"):
        CaptionServer("192.168..1", 0)
