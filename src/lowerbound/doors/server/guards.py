"""What stands in front of all handlers: who may ask, for which host, how much, and how answers are
to be treated by browsers.

These are plain ASGI applications around another: they cost a few microseconds a request.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .problems import answer_problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 8 * 2**20
"""A body may have so many bytes."""

COOKIE = "lowerbound_token"
"""Browsers keep the token under this name."""

OPEN_PATHS = ("/healthz", "/readyz")
"""Whoever asks for these needs no token."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The names by which a machine calls itself."""

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors {ancestors}"
)
"""The content security policy of all answers: nothing is loaded from elsewhere."""


class Headed:
    """Puts headers for browsers on all answers.

    Args:
        app: what answers.
        ancestors: pages that may show this one in a frame, in the words of the policy.
        ends: says whether the server is about to end: then no connection is kept.
    """

    def __init__(
        self, app: App, ancestors: str = "'self'", ends: Callable[[], bool] = lambda: False
    ) -> None:
        self.app = app
        self.ends = ends
        self.headers: list[tuple[bytes, bytes]] = [
            (b"content-security-policy", POLICY.format(ancestors=ancestors).encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.headers]
                if self.ends():
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Admission:
    """Lets nobody ask without the token, or through the name of another host.

    A page that a browser has loaded from elsewhere could otherwise reach a server of this machine
    by a name that leads to it (DNS rebinding), or post to it unasked.

    Args:
        app: what answers.
        token: that requests must have; None for a server that only this machine reaches.
        hosts: the names of the server, where there is no token; None takes any.
    """

    def __init__(
        self, app: App, token: str | None = None, hosts: tuple[str, ...] | None = LOOPBACK
    ) -> None:
        self.app = app
        self.token = token
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refuse(scope, headers)
        if answer is None:
            await self.app(scope, receive, send)
        else:
            await answer(scope, receive, send)

    def _refuse(self, scope: Scope, headers: Headers) -> Any:
        """Returns the answer to a request that is refused, or None."""
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET":
            return answer_problem(403, "a page of another site asks")
        if self.token is None:
            host = host_of(headers.get("host", ""))
            if self.hosts is not None and host not in self.hosts:
                return answer_problem(
                    403, "this server answers to localhost alone, unless LOWERBOUND_TOKEN is set"
                )
            return None
        if scope["path"] in OPEN_PATHS:
            return None
        if self._is_right(given_token(headers)):
            return None
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if scope["method"] == "GET" and self._is_right(query.get("token", [""])[0]):
            return self._remember(scope)
        return answer_problem(
            401,
            "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN once in a browser",
            {"WWW-Authenticate": "Bearer"},
        )

    def _is_right(self, token: str) -> bool:
        """Says whether this is the token, in a time that tells nothing of it."""
        known = (self.token or "").encode()
        return bool(token) and hmac.compare_digest(token.encode("utf-8", "replace"), known)

    def _remember(self, scope: Scope) -> Any:
        """Lets a browser keep the token, and leads it to the page without the token in its path."""
        cookie = f"{COOKIE}={quote(self.token or '')}; HttpOnly; SameSite=Strict; Path=/"
        headers = {"Location": scope["path"], "Set-Cookie": cookie, "Cache-Control": "no-store"}
        return Response(b"", 303, headers)


def host_of(header: str) -> str:
    """Returns the host of a `Host` header, without its port and brackets.

    >>> host_of("[::1]:8000"), host_of("localhost:8000"), host_of("127.0.0.1")
    ('::1', 'localhost', '127.0.0.1')
    """
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def given_token(headers: Headers) -> str:
    """Returns the token of a request, from its header or its cookie; "" without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    if COOKIE not in cookies:
        return ""
    return unquote(cookies[COOKIE].value)


class Bounded:
    """Refuses bodies of too many bytes, whether they say so or not.

    Args:
        app: what answers.
        most: bytes that a body may have.
    """

    def __init__(self, app: App, most: int = MOST_BYTES) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        detail = f"a body may have {self.most:,} bytes"
        headers = {"Connection": "close"}
        claimed = Headers(scope=scope).get("content-length", "0")
        if claimed.isdigit() and int(claimed) > self.most:
            await answer_problem(413, detail, headers)(scope, receive, send)
            return
        seen = 0

        async def receive_bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                raise HTTPException(413, detail, headers)
            return message

        await self.app(scope, receive_bounded, send)
