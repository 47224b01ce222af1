"""What a request has to be before anything of it is read: small, from here, and allowed."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
"""Bytes of a request's body; a person's skills and history need far fewer."""

BODY_SECONDS = 10.0
"""A client that has not sent its body by then is told to send it anew."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Of every answer: the page loads nothing from anywhere else, and runs no script but its own."""

OPEN = ("/health",)
"""Paths that need no token: who runs the server asks them."""


class Guard:
    """An ASGI middleware: Host, Origin, token and body are checked, headers are added.

    Args:
        app: What answers requests that pass.
        hosts: Names that a Host header may have; a page elsewhere cannot reach a server here by a
            name of its own that it lets point to this address (DNS rebinding). None: any.
        token: What a request's `Authorization` must hold, as Bearer or as the password of Basic;
            None: nothing.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None, token: str | None) -> None:
        self._app, self._hosts = app, hosts
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or refuses with one sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *added]
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
        name = urlsplit(f"//{host}").hostname if host.isprintable() else None
        if self._hosts is not None and name not in self._hosts:
            return _refuse(400, f"this server is not {host[:100]!r}: ask it by its own name")
        origin = headers.get("origin")
        if scope["method"] != "GET" and origin and urlsplit(origin).netloc != host:
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
            async with asyncio.timeout(BODY_SECONDS):
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
            return _refuse(408, f"the body did not come within {BODY_SECONDS:.0f} s: send it anew")


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
