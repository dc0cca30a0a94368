"""Starting and ending the server."""

import asyncio
import os
import socket
import webbrowser
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI

from ...errors import ConfigError
from ...run import Run
from .app import create_app
from .guards import LOOPBACK

TOKEN = "LOWERBOUND_TOKEN"
"""The token is read from this variable of the environment."""

NOTEBOOKS = "'self' http://localhost:* http://127.0.0.1:* vscode-webview:"
"""Notebooks of this machine may show the page in a frame."""

LEAST_TOKEN = 16
"""A token has at least so many characters."""

DRAIN_SECONDS = 0.5
"""A server that is to end takes requests for so long, and lets their connections close."""

GRACE_SECONDS = 30
"""Requests in flight have so long to be answered when the server ends."""


def serve(
    runs: Sequence[Run],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    sources: Sequence[Any] = (),
    open_browser: bool = False,
) -> None:
    """Serves runs until Ctrl-C or SIGTERM, after which what is in flight is answered.

    Args:
        runs: the runs.
        host: the address that is listened to; others than loopback need a token in the environment
            variable `LOWERBOUND_TOKEN`.
        port: 0 takes a free one.
        sources: where the own data of the runs are, see `create_app`.
        open_browser: whether a browser opens the page.

    Raises:
        ConfigError: the host needs a token, or cannot be listened to.
    """
    token = read_token(host)
    listening = listen(host, port)
    app = create_app(runs, sources=sources, token=token, ancestors=NOTEBOOKS)
    address = url_of(host, listening.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=2**16,
        backlog=1024,
    )
    server = DrainingServer(config, app, address)
    if open_browser:
        opened = address
        if token is not None:
            opened += f"/?token={quote(token)}"
        webbrowser.open(opened)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()


class DrainingServer(uvicorn.Server):
    """A server that loses no request in flight when it ends."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, address: str) -> None:
        super().__init__(config)
        self.app = app
        self.address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"serving at {self.address}/", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.app.state.readiness.stop()
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)


def read_token(host: str) -> str | None:
    """Reads the token of the environment.

    Raises:
        ConfigError: the host is reached from elsewhere and there is no token, or it is too short.
    """
    token = os.environ.get(TOKEN) or None
    if token is None and host not in LOOPBACK:
        raise ConfigError(
            f"--host {host} can be reached by others: set {TOKEN} to a secret of {LEAST_TOKEN} "
            "characters or more, or keep 127.0.0.1"
        )
    if token is not None and len(token) < LEAST_TOKEN:
        raise ConfigError(f"{TOKEN} has {len(token)} characters; {LEAST_TOKEN} or more are needed")
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(f"{TOKEN} may have letters, digits and signs alone, without blanks")
    return token


def listen(host: str, port: int) -> socket.socket:
    """Opens the socket of a server.

    Its connections send each piece at once. An answer is written in two pieces, and without that
    the second one waits for the other side to acknowledge the first, 40 ms on Linux: asyncio asks
    for it only where a socket says that its protocol is TCP, which those of `socket` do not.

    Raises:
        ConfigError: the address cannot be listened to.
    """
    family = socket.AF_INET
    if ":" in host:
        family = socket.AF_INET6
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, OverflowError) as error:
        words = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"--host {host} --port {port} cannot be listened to: {words}; --port 0 takes a free one"
        ) from None
    return listening


def url_of(host: str, port: int) -> str:
    """Returns the address of a server, as a browser takes it."""
    shown = host
    if host in ("0.0.0.0", "::"):
        shown = "127.0.0.1"
    if ":" in shown:
        shown = f"[{shown}]"
    return f"http://{shown}:{port}"
