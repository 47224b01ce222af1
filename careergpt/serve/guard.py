"""The guard: a request must be small, from here and allowed before anything of it is read."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_BODY = 64 * 1024
"""Bytes of a request's body; a person's skills and history need far fewer."""

SEND_SECONDS = 10.0
"""A client that has not sent its headers, then its body, by then need not go on."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Of an answer without its own: pages load nothing from elsewhere and run our script alone."""

OPEN = ("/health",)
"""Paths that need no token: who runs the server asks them."""


class Guard:
    """An ASGI middleware: Host, Origin, token and body are checked, headers are added, all counted.

    Args:
        app: What answers requests that pass.
        hosts: Names that a Host header may have; a page elsewhere cannot reach a server here by a
            name of its own that it lets point to this address (DNS rebinding). None: any.
        token: What a request's `Authorization` must hold, as Bearer or as the password of Basic;
            None: nothing.
        told: Called with path, status and seconds until an answer's first byte, refusals too.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str] | None,
        token: str | None,
        told: Callable[[str, int, float], None],
    ) -> None:
        self._app, self._hosts, self._told = app, hosts, told
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or refuses with one sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._told(scope["path"], message["status"], time.monotonic() - begun)
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refusal(scope) or await self._read_body(scope, receive)
        if isinstance(refused, JSONResponse):
            await refused(scope, receive, sent)
            return
        body: bytes | None = refused

        async def read() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        await self._app(scope, read, sent)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _named(f"//{host}").hostname not in self._hosts:
            return _refuse(400, f"this server is not {host[:100]!r}: ask it by its own name")
        origin = headers.get("origin")
        if scope["method"] != "GET" and origin and _named(origin).netloc != host:
            return _refuse(403, "a page of another site asks: open this server's own page")
        if self._token is None or scope["path"] in OPEN:
            return None
        if not hmac.compare_digest(_token_of(headers.get("authorization", "")), self._token):
            return _refuse(401, "send the token as `Authorization: Bearer TOKEN`, or as password")
        return None

    async def _read_body(self, scope: Scope, receive: Receive) -> JSONResponse | bytes:
        """The whole body, in time and within bounds: nobody else waits for who sends slowly."""
        body = b""
        message: Message
        try:
            async with asyncio.timeout(SEND_SECONDS):
                while True:
                    message = await receive()
                    body += bytes(message.get("body", b""))
                    if len(body) > MAX_BODY:
                        return _refuse(
                            413, f"the body is larger than {MAX_BODY:,} bytes: send less"
                        )
                    if not message.get("more_body"):
                        return body
        except TimeoutError:
            return _refuse(408, f"the body did not come within {SEND_SECONDS:.0f} s: send it anew")


class TimedConnection(H11Protocol):
    """A connection that is closed where no request begins in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the first request."""
        super().connection_made(transport)
        self._await_next(self.cycle)

    def on_response_complete(self) -> None:
        """Waits for another request."""
        before = self.cycle
        super().on_response_complete()
        self._await_next(before)

    def _await_next(self, before: object) -> None:
        def end() -> None:
            if self.cycle is before:  # Each request has its own.
                self.transport.close()

        self.loop.call_later(SEND_SECONDS, end)


def _named(address: str) -> SplitResult:
    """The parts of an address; of one that is none, empty ones."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _token_of(authorization: str) -> bytes:
    """The token of a program (Bearer), or what a browser's own dialogue asked for (Basic)."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.encode()
    try:
        return base64.b64decode(value if kind.lower() == "basic" else "").partition(b":")[2]
    except ValueError:
        return b""


def _refuse(status: int, reason: str) -> JSONResponse:
    headers = (
        {"www-authenticate": 'Basic realm="careergpt", charset="UTF-8"'} if status == 401 else None
    )
    return JSONResponse({"error": reason}, status, headers)
