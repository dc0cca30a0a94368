"""The page of a run inside a notebook: a server of its own, which ends with the notebook."""

import atexit
import os
import re
import subprocess
import sys
import tempfile
import threading
from html import escape
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import IO
from urllib.parse import quote

from ..errors import ConfigError, RunError, one_line
from ..run import Run

HEIGHT = 800
"""The height of the page in a notebook, in pixels."""

LONGEST_START = 120.0
"""A server has so many seconds to say where it listens: it imports PyTorch and loads the run."""

LONGEST_END = 10.0
"""A server that is told to end has so many seconds for what is in flight."""

SERVING = re.compile(r"^\s*(?:serving at )?(https?://\S+)\s*$")
"""The line by which a server says where it is."""

TOKEN = "LOWERBOUND_TOKEN"
"""The variable of the environment with the token of a server, which the page needs too."""


class Explorer:
    """A server of one run, in a process of its own, and the address of its page.

    A notebook shows the page; elsewhere the address is printed. The server ends by `close`, at the
    end of a `with` block, or with this process.

    Attributes:
        url: of the page.
        height: of the page in a notebook, in pixels.
    """

    def __init__(self, url: str, process: subprocess.Popen[str], height: int = HEIGHT) -> None:
        self.url = url
        self.height = height
        self._process = process
        atexit.register(self.close)

    @property
    def is_open(self) -> bool:
        """Whether the server runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the server; it is no mistake to call it twice."""
        _end(self._process)
        atexit.unregister(self.close)

    def __enter__(self) -> "Explorer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Returns the address, or says that the server has ended."""
        if not self.is_open:
            return f"page of a run, closed (it was at {self.url})"
        return f"page of the run at {self.url} (close() ends it)"

    def _repr_html_(self) -> str:
        """Returns the page as a frame for a notebook."""
        if not self.is_open:
            return f"<p>{escape(repr(self))}</p>"
        address = escape(self.url, quote=True)
        return (
            f'<iframe src="{address}" title="page of the run" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
            f'<p><a href="{address}" target="_blank">{address}</a></p>'
        )


def explore(
    run: Run,
    source: str | Path | None = None,
    *,
    height: int = HEIGHT,
    allow_code: bool = False,
) -> Explorer:
    """Opens the page of a run: starts `lowerbound serve` on a free port of this machine.

    Args:
        run: the run, which is read from its folder.
        source: where its own data are, if they are not where they were.
        height: of the page in a notebook, in pixels.
        allow_code: whether the server may import the parts that the recipe names as
            `package.module:Class`.

    Raises:
        ConfigError: the source is in memory, which another process cannot read.
        RunError: the server does not start; says why.
    """
    command = [sys.executable, "-m", "lowerbound", "serve", str(run.folder.resolve())]
    command += ["--port", "0"]
    if source is not None:
        if not isinstance(source, str | Path):
            raise ConfigError(
                "explore serves the run from another process, which cannot read data in memory; "
                "give the path or the name of its data, or none"
            )
        command += ["--data", str(source)]
    if allow_code:
        command.append("--allow-code")
    return Explorer(*_start(command), height)


def _start(command: list[str]) -> tuple[str, "subprocess.Popen[str]"]:
    """Starts a server, and waits until it says where it listens.

    Raises:
        RunError: it ends before, or says nothing for `LONGEST_START` seconds.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        addresses: Queue[str] = Queue()
        assert process.stdout is not None
        threading.Thread(target=_read, args=(process.stdout, addresses), daemon=True).start()
        try:
            address = addresses.get(timeout=LONGEST_START)
        except Empty:
            address = ""
        except BaseException:  # such as Ctrl-C while it starts
            _end(process)
            raise
        if not address:
            _end(process)
            complaints.seek(0)
            raise RunError(_describe_failure(complaints.read()))
    token = os.environ.get(TOKEN)
    if token:
        address += f"?token={quote(token)}"
    return address, process


def _read(lines: IO[str], addresses: "Queue[str]") -> None:
    """Reads what a server prints to its end, so that it never waits; "" stands for the end."""
    with lines:
        for line in lines:
            found = SERVING.match(line)
            if found is not None:
                addresses.put(f"{found[1].rstrip('/')}/")
    addresses.put("")


def _describe_failure(complaints: str) -> str:
    """Words the message for a server that did not start, by the last line that it wrote."""
    lines = [line for line in complaints.splitlines() if line.strip()]
    if not lines:
        return f"the server did not say within {LONGEST_START:.0f} seconds where it listens"
    return one_line(lines[-1].removeprefix("lowerbound: "), 500)


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends a process, by force if it does not end in time."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(LONGEST_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
