"""The caption page's web server: the one module that imports Starlette. It is a screen like the terminal.

It runs in a thread and an event loop of its own; the worker's thread hands captions over and never waits for a viewer. Its files
lie in page/ and fetch nothing from elsewhere.
"""

import asyncio
import contextlib
import errno
import socket
import threading
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol  # without websockets it fails here

from asr.client.access import Access
from asr.client.captions import Final, Partial
from asr.client.viewers import ALIVE, Feed
from asr.errors import AsrError
from asr.subtitles import FORMATS

PAGE = Path(__file__).with_name("page")
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml",
         ".txt": "text/plain", ".srt": "application/x-subrip", ".vtt": "text/vtt", ".json": "application/json",
         ".tsv": "text/tab-separated-values"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",                        # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
MOST_VIEWERS = 200
SLOW_S = 10.0                        # who does not take a message in this time has stopped reading; it can come back
PING_S = 20.0                        # a viewer whose machine is gone is noticed after twice this
ALIVE_S = 15.0                       # when there is nothing to say, a page hears so often that it is not cut off: scripts see no pings
CLOSING_S = 1.0                      # for the last messages at the end
TRY_LATER = 1013                     # close code


class CaptionServer:
    """Serves the page at `host` and `port` (0: any that is free). Raises AsrError where it cannot listen there.

    From the beginning the port is taken; `start` answers.
    """

    def __init__(self, host: str, port: int):
        self._socket = _listen(host, port)
        address, self._port = self._socket.getsockname()[:2]
        self._access = Access(host, address)
        self._host = _own_address(self._socket.family) if ip_address(address).is_unspecified else host
        self._feed = Feed()
        self._loop = asyncio.new_event_loop()
        routes = [Route("/", _file("index.html")), *(Route(f"/{name}", _file(name)) for name in _public()),
                  Route("/captions.{form}", self._download), WebSocketRoute("/captions", self._caption)]
        config = uvicorn.Config(_Guard(Starlette(routes=routes), self._access), ws=WebSocketsSansIOProtocol, http="h11", loop="asyncio",
                                lifespan="off", log_config=None, log_level="critical", access_log=False, server_header=False,
                                proxy_headers=False, ws_per_message_deflate=False, ws_max_size=1024, ws_ping_interval=PING_S,
                                ws_ping_timeout=PING_S, timeout_graceful_shutdown=CLOSING_S)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="caption page", daemon=True)

    @property
    def address(self) -> str:
        """Of the page, with the token where one is needed."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/" + (f"?token={self._access.token}" if self._access.token else "")

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return self._access.token is None

    def start(self, started: datetime | None = None):
        """Answer from now on. Captions count from `started`, which is now where it is not given."""
        self._feed.started = started or self._feed.started
        self._thread.start()

    def show(self, caption: Partial | Final):
        """As Screen.show."""
        self._hand_over(self._feed.show, caption)

    def remark(self, text: str):
        """As Screen.remark."""
        self._hand_over(self._feed.remark, text)

    def close(self):
        """Send the viewers what they lack and that it is over; then stop. Again: nothing."""
        if self._thread.ident is None:                       # never started
            self._socket.close()
            self._loop.close()
            return
        self._hand_over(self._feed.end)
        self._thread.join(SLOW_S)

    def _hand_over(self, function, *arguments):
        with contextlib.suppress(RuntimeError):              # the loop has ended: captions go on without the page
            self._loop.call_soon_threadsafe(function, *arguments)

    def _serve(self):
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._run())

    async def _run(self):
        ending = asyncio.create_task(self._end_when_said())
        await self._server.serve(sockets=[self._socket])
        ending.cancel()

    async def _end_when_said(self):
        """Stop the server once the feed has ended and its viewers have left, or had time to."""
        await self._feed.ended.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                while self._feed.viewers:
                    await asyncio.sleep(0.02)
        self._server.should_exit = True

    async def _caption(self, websocket: WebSocket):
        """A viewer: `?after=NUMBER&session=NAME` where it comes back."""
        await websocket.accept()
        if len(self._feed.viewers) >= MOST_VIEWERS:
            await websocket.close(TRY_LATER)
            return
        after = websocket.query_params.get("after", "")
        with self._feed.viewer(websocket.query_params.get("session"), int(after) if after.isdecimal() else 0) as viewer:
            tasks = [asyncio.create_task(_send(websocket, viewer)), asyncio.create_task(_until_left(websocket))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _download(self, request: Request) -> Response:
        """The finals that are kept, as a file."""
        form = request.path_params["form"]
        if form not in FORMATS:
            return PlainTextResponse(f"asr: there is no {form}; there are {', '.join(FORMATS)}\n", 404)
        text = await asyncio.to_thread(FORMATS[form], self._feed.words)
        name = f"captions-{self._feed.started.astimezone():%Y-%m-%d-%H%M%S}.{form}"
        return Response(text, media_type=MEDIA[f".{form}"], headers={"Content-Disposition": f'attachment; filename="{name}"'})


class _Guard:
    """Refuses who may not read, and puts HEADERS on every answer."""

    def __init__(self, application: Starlette, access: Access):
        self._application, self._access, self._public = application, access, {f"/{name}" for name in _public()}

    async def __call__(self, scope, receive, send):
        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._access.refusal(scope, public=scope["path"] in self._public)
        answer = PlainTextResponse(refusal + "\n", 403) if refusal else self._application
        await answer(scope, receive, send_with_headers)


async def _send(websocket: WebSocket, viewer):
    while messages := await _next(viewer):
        for message in messages:
            async with asyncio.timeout(SLOW_S):
                await websocket.send_text(message)
    await websocket.close()


async def _next(viewer) -> list[str]:
    try:
        async with asyncio.timeout(ALIVE_S):
            return await viewer.next()
    except TimeoutError:
        return [ALIVE]


async def _until_left(websocket: WebSocket):
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()                   # nothing that a viewer says matters


def _public() -> list[str]:
    """Names of the page's files that hold nothing of a session."""
    return sorted(path.name for path in PAGE.iterdir() if path.suffix in (".css", ".js", ".svg"))


def _file(name: str):
    content, media = (PAGE / name).read_bytes(), MEDIA[Path(name).suffix]

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media)
    return answer


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address, family=family)
    except UnicodeError:                                     # of a name that is no name, as 192.168..1
        raise AsrError(f"{host} is no address; choose with --host one of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AsrError(f"port {port} of {host} is taken, perhaps by another asr live; choose another with --port, 0 is any that is "
                           "free") from None
        raise AsrError(f"the caption page cannot be served at {host}, port {port}: {error.strerror}; "
                       "choose with --host an address of this machine, and with --port a number from 1024") from None


def _own_address(family: socket.AddressFamily) -> str:
    """An address that other machines may know this one by. Nothing is sent: a route is looked up."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))        # addresses for documents
            return probe.getsockname()[0]
        except OSError:
            return socket.gethostname()
