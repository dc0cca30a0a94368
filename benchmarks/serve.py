"""The server under load, under hostile requests, against its own description, and when it ends.

    python benchmarks/serve.py load --run RUN [--rate 1000] [--seconds 10] [--connections 64]
        recommendations at a steady rate on loopback: the times to the answers, and the time of the
        processor that each takes
    python benchmarks/serve.py hostile --run RUN [--inputs 1000]
        damaged bodies and pictures: every answer must be 4xx within a second, or right, within
        512 MB above what the process had; it must be alive at the end
    python benchmarks/serve.py schema --run RUN [--cases 1000]
        schemathesis, with all of its checks, makes requests of the OpenAPI document
    python benchmarks/serve.py drain --run RUN [--rounds 5]
        SIGTERM while requests are in flight: each that was sent before must be answered
    python benchmarks/serve.py page
        puts what was measured into docs/serve.md

`--run` may be given several times. The server is a process of its own, started by the command that
users have. In `load` a client sends request number i at i / rate seconds after the start, whether
the others are answered or not, and times it from then: what is late because others are slow counts.
What is asked of `load` is of a machine that does nothing else; the load of the machine is written
beside it. Each measure writes a file of its own, results/serve-WHAT.json.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from common import arguments, parser, write

DOCUMENT = Path(__file__).parents[1] / "docs" / "serve.md"
"""The page that what was measured is put into."""

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
"""What no schema can say."""

ASKED = {"rate": 1000, "p99_ms": 20}
"""What is asked of `load` on two cores that do nothing else."""

BUSY = 2.5
"""A machine with more load than this has other things to do than to serve."""

MOST_SECONDS = 1.0
"""A hostile request is answered within so many seconds."""

MOST_MEGABYTES = 512
"""Hostile requests take at most so much memory, above what the server had before."""


class Server:
    """A server in a process of its own.

    Attributes:
        address: where it is.
        process: of it.
    """

    def __init__(self, runs: Sequence[str], threads: int) -> None:
        command = [sys.executable, "-m", "lowerbound", "serve", *runs, "--port", "0"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.started: subprocess.Popen[str] = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.started.stdout is not None
        line = self.started.stdout.readline().strip()
        self.address: str = line.removeprefix("serving at ").rstrip("/")
        if not self.address:
            _, error = self.started.communicate()
            sys.exit(f"the server did not start: {error}")
        self.process: psutil.Process = psutil.Process(self.started.pid)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        while True:
            try:
                self.get("/readyz")
            except urllib.error.HTTPError:
                time.sleep(0.1)
            else:
                return

    def get(self, path: str) -> Any:
        """Asks for something that is JSON."""
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return json.loads(answer.read())

    @property
    def seconds(self) -> float:
        """The time of the processor that the server has taken."""
        times = self.process.cpu_times()
        return times.user + times.system

    @property
    def megabytes(self) -> float:
        """The memory that the server has now."""
        return self.process.memory_info().rss / 2**20

    def named(self, kind: str) -> str:
        """Returns the name of the first run of a kind."""
        for line in self.get("/runs"):
            if line["kind"] == kind:
                return str(line["name"])
        sys.exit(f"a run of kind {kind} is needed: --run RUN")


@contextmanager
def serving(runs: Sequence[str], threads: int) -> Iterator[Server]:
    """Starts a server, and ends it after the block."""
    server = Server(runs, threads)
    try:
        yield server
    finally:
        server.started.terminate()
        server.started.wait(60)


# One connection of the client, and requests at a steady rate


class Connection(asyncio.Protocol):
    """A connection that sends one request after another and times the answers."""

    def __init__(self) -> None:
        self.received: bytes = b""
        self.answered: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, mark, body = self.received.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
        if len(body) >= length and self.answered is not None:
            self.received = b""
            self.answered.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(ConnectionError("closed before the answer"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Sends a request and waits for the status and the body of its answer."""
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answered


def request_of(path: str, body: bytes, kind: str = "application/json") -> bytes:
    """Writes a request of HTTP."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


async def connect(address: str, count: int) -> list[Connection]:
    """Opens connections to a server."""
    host, _, port = address.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(count):
        _, connection = await loop.create_connection(Connection, host, int(port))
        connections.append(connection)
    return connections


async def ask_steadily(
    address: str, requests: Sequence[bytes], rate: float, seconds: float, connections: int
) -> tuple[list[float], dict[int, int]]:
    """Sends requests at a steady rate.

    Returns:
        The seconds from when each was due to its answer, and how many answers had each status.
    """
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in await connect(address, connections):
        free.put_nowait(connection)
    times: list[float] = []
    statuses: dict[int, int] = {}

    async def ask(number: int, due: float) -> None:
        connection = await free.get()
        status, _ = await connection.ask(requests[number % len(requests)])
        times.append(time.perf_counter() - due)
        statuses[status] = statuses.get(status, 0) + 1
        free.put_nowait(connection)

    begun = time.perf_counter() + 0.1
    tasks = []
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(ask(number, due)))
    await asyncio.gather(*tasks)
    return times, statuses


def recommendations(server: Server, count: int = 2000) -> list[bytes]:
    """Makes requests of recommendations for random histories of about twenty items."""
    name = server.named("recommender")
    found = server.get(f"/runs/{name}/items?limit=100")["items"]
    ids = [line["item"] for line in found]
    random_numbers = np.random.default_rng(0)
    requests = []
    for _ in range(count):
        size = int(random_numbers.integers(5, 36))
        history = random_numbers.choice(len(ids), size, replace=False)
        body = {"history": [ids[place] for place in history], "k": 10}
        requests.append(request_of(f"/runs/{name}/recommend", json.dumps(body).encode()))
    return requests


def measure_load(given: argparse.Namespace) -> dict[str, Any]:
    """Measures the times to answers at a steady rate."""
    with serving(given.run, given.threads) as server:
        requests = recommendations(server)
        asyncio.run(ask_steadily(server.address, requests, given.rate / 4, 2, given.connections))
        load = psutil.getloadavg()[0]
        before = server.seconds
        own = time.process_time()
        begun = time.perf_counter()
        times, statuses = asyncio.run(
            ask_steadily(server.address, requests, given.rate, given.seconds, given.connections)
        )
        wall = time.perf_counter() - begun
        spent = server.seconds - before
        client = time.process_time() - own
        metrics = urllib.request.urlopen(f"{server.address}/metrics", timeout=60).read().decode()
    milliseconds = 1e3 * np.array(times)
    batches = re.findall(r"^lowerbound_batch_requests_(sum|count)\{.*\} (\S+)", metrics, re.M)
    counts = dict(batches)
    return {
        "asked": ASKED,
        "rate": given.rate,
        "requests": len(times),
        "answered_per_second": len(times) / wall,
        "statuses": statuses,
        "ms": {
            f"p{rank}": float(np.percentile(milliseconds, rank)) for rank in (50, 90, 95, 99, 99.9)
        },
        "server_ms_per_request": 1e3 * spent / len(times),
        "client_ms_per_request": 1e3 * client / len(times),
        "mean_batch": float(counts["sum"]) / float(counts["count"]),
        "load_of_the_machine": load,
    }


# Hostile requests


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Damages bytes: bits, blocks, repeats, cuts, odd numbers."""
    damaged = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        kind = chance.randrange(5)
        place = chance.randrange(len(damaged) + 1)
        if kind == 0 and damaged:
            damaged[place % len(damaged)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            damaged[place:place] = chance.randbytes(chance.randint(1, 40))
        elif kind == 2:
            del damaged[place : place + chance.randint(1, 60)]
        elif kind == 3:
            damaged[place:place] = damaged[: chance.randint(0, 80)]
        else:
            odd = (b"NaN", b"1e999", b"-1", b"[" * 2000, b'"\\ud800"', b"null", b"9" * 5000)
            damaged[place:place] = chance.choice(odd)
    return bytes(damaged)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Frames a chunk of PNG."""
    framed = kind + content
    return len(content).to_bytes(4, "big") + framed + zlib.crc32(framed).to_bytes(4, "big")


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Writes a grey PNG that claims any size."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    begin = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return begin + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def in_form(name: str, content: bytes) -> tuple[str, bytes]:
    """Writes a file as a form of a browser: the type of the body, and the body."""
    mark = "cut-here"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return (
        f"multipart/form-data; boundary={mark}",
        head.encode() + content + f"\r\n--{mark}--\r\n".encode(),
    )


def crafted(server: Server) -> list[tuple[str, str, bytes]]:
    """Makes requests that are meant to hurt: paths, types of bodies, bodies."""
    kind = "application/json"
    made: list[tuple[str, str, bytes]] = []
    for line in server.get("/runs"):
        path = f"/runs/{line['name']}"
        for what in ("encode", "score", "decode", "sample", "reconstruct", "recommend", "impute"):
            for body in (
                b"[" * 10**6,
                b'{"examples":' + b"[" * 10**5,
                b'{"examples": [' + b"1," * 10**6 + b"1]}",
                b'{"n": 1e308, "z": [1e308], "examples": [[1e308]]}',
                b'{"z": [' + b"0," * 10**5 + b"0]}",
                b'{"history": [' + b'"x",' * 9999 + b'"x"]}',
                b'{"history": ["' + b"x" * 10**6 + b'"]}',
                b'{"rows": [{"' + b"y" * 10**6 + b'": 1}]}',
                b"{" + b",".join(b'"k%d": 1' % key for key in range(10**5)) + b"}",
                b"\xff\xfe\x00",
                b"",
            ):
                made.append((f"{path}/{what}", kind, body))
        bombs = [
            png(60_000, 60_000, bytes(10**6)),
            png(2**31 - 1, 2**31 - 1, b""),
            png(2000, 2000, bytes(2001 * 2000)),
            png(2048, 2048, b"") + bytes(10**6),
            b"GIF89a" + b"\xff" * 1000,
            b"\xff\xd8\xff" + b"\xff\xda" * 50_000,
            b"P6 99999 99999 255\n",
            b"age,pay\n" + b"1,2\n" * 10**6,
            b"\x1f\x8b" + bytes(1000),
        ]
        for bomb in bombs:
            for name in ("a.png", "a.csv"):
                form, body = in_form(name, bomb)
                made.append((f"{path}/reconstruct/file", form, body))
    return made


def seeds(server: Server) -> list[tuple[str, str, bytes]]:
    """Makes requests that are right, which are then damaged."""
    kind = "application/json"
    right: list[tuple[str, str, bytes]] = []
    for line in server.get("/runs"):
        path = f"/runs/{line['name']}"
        told = server.get(path)
        if line["kind"] == "recommender":
            items = [each["item"] for each in server.get(f"{path}/items?limit=20")["items"]]
            body = {"history": items[:7], "k": 5, "deny": items[7:9], "explain": True}
            right.append((f"{path}/recommend", kind, json.dumps(body).encode()))
            right.append((f"{path}/similar", kind, json.dumps({"to": items[0]}).encode()))
            continue
        middle = [[each[3] for each in level["quantiles"]] for level in told["levels"]]
        right.append((f"{path}/decode", kind, json.dumps({"levels": middle}).encode()))
        right.append((f"{path}/sample", kind, b'{"n": 2, "seed": 1, "temperature": 0.9}'))
        if line["kind"] == "images":
            channels, height, width = told["shape"]
            image = [[[0.5] * width] * height] * channels
            for what in ("encode", "reconstruct", "score"):
                right.append((f"{path}/{what}", kind, json.dumps({"examples": [image]}).encode()))
            form, body = in_form("a.png", png(20, 20, bytes(range(21)) * 20))
            right.append((f"{path}/reconstruct/file", form, body))
        elif told["columns"]:
            row = {}
            for column in told["columns"]:
                row[column["name"]] = (column["levels"] or [column["low"]])[0]
            for what, name in (("encode", "examples"), ("score", "examples"), ("impute", "rows")):
                right.append((f"{path}/{what}", kind, json.dumps({name: [row]}).encode()))
    return right


async def ask_hostile(
    server: Server, requests: Sequence[tuple[str, str, bytes]]
) -> list[dict[str, Any]]:
    """Sends requests one after another, each on a connection of its own."""
    found = []
    for path, kind, body in requests:
        (connection,) = await connect(server.address, 1)
        begun = time.perf_counter()
        try:
            status, answer = await asyncio.wait_for(
                connection.ask(request_of(path, body, kind)), 60
            )
        except (ConnectionError, TimeoutError) as error:
            status, answer = 0, str(error).encode()
        seconds = time.perf_counter() - begun
        connection.transport.close()
        found.append(
            {
                "path": path,
                "status": status,
                "seconds": seconds,
                "megabytes": server.megabytes,
                "body": body[:80].decode("latin-1"),
                "answer": answer[:200].decode("latin-1"),
            }
        )
    return found


def measure_hostile(given: argparse.Namespace) -> dict[str, Any]:
    """Sends hostile requests, and says what became of them."""
    chance = random.Random(0)
    with serving(given.run, given.threads) as server:
        right = seeds(server)
        asyncio.run(ask_hostile(server, right))
        before = server.megabytes
        requests = crafted(server)
        while len(requests) < given.inputs:
            path, kind, body = chance.choice(right)
            requests.append((path, kind, mutated(body, chance)))
        found = asyncio.run(ask_hostile(server, requests))
        is_alive = server.get("/healthz") == {"status": "alive"}
    statuses: dict[str, int] = {}
    for each in found:
        statuses[str(each["status"])] = statuses.get(str(each["status"]), 0) + 1
    faults = [
        each
        for each in found
        if each["status"] == 0 or each["status"] >= 500 or each["seconds"] > MOST_SECONDS
    ]
    slowest = max(found, key=lambda each: each["seconds"])
    return {
        "requests": len(found),
        "statuses": statuses,
        "slowest_seconds": slowest["seconds"],
        "slowest": slowest,
        "most_megabytes_above": max(each["megabytes"] for each in found) - before,
        "alive": is_alive,
        "faults": faults[:20],
        "fault_count": len(faults),
        "load_of_the_machine": psutil.getloadavg()[0],
    }


# Its own description


def measure_schema(given: argparse.Namespace) -> dict[str, Any]:
    """Lets schemathesis make requests of the description of the server, with all checks."""
    with serving(given.run, given.threads) as server:
        operations = sum(len(each) for each in server.get("/openapi.json")["paths"].values())
        each = max(1, -(-given.cases // operations))
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={CONFIGURATION}",
            "run",
            f"{server.address}/openapi.json",
            "--checks=all",
            f"--max-examples={each}",
            "--seed=1",
            "--request-timeout=90",
            "--no-color",
            "--suppress-health-check=all",
        ]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
    print(done.stdout[-8000:], done.stderr[-2000:])
    cases = re.search(r"(\d[\d,]*) generated", done.stdout)
    count = None
    if cases is not None:
        count = int(cases[1].replace(",", ""))
    return {
        "operations": operations,
        "cases": count,
        "passed": done.returncode == 0,
        "seconds": seconds,
        "failures": re.findall(r"^- (ST\d+ .*)$", done.stdout, re.MULTILINE),
        "end": done.stdout[-1500:],
    }


# The end of a server


async def ask_until_the_end(
    server: Server, requests: Sequence[bytes], connections: int
) -> dict[str, int]:
    """Asks on several connections while the server is told to end.

    Returns:
        How many were answered, were lost although they were sent before the signal, and came after
        the end.
    """
    signalled = 0.0
    told = {"answered": 0, "lost": 0, "refused_after": 0}

    async def ask_on(connection: Connection) -> None:
        number = 0
        while True:
            sent = time.perf_counter()
            try:
                status, _ = await connection.ask(requests[number % len(requests)])
            except ConnectionError:
                is_before = not signalled or sent < signalled
                told["lost" if is_before else "refused_after"] += 1
                return
            told["answered"] += status == 200
            number += 1
            if connection.transport.is_closing():
                return

    tasks = [
        asyncio.create_task(ask_on(each)) for each in await connect(server.address, connections)
    ]
    await asyncio.sleep(1.0)
    server.started.send_signal(signal.SIGTERM)
    signalled = time.perf_counter()
    await asyncio.gather(*tasks)
    return told


def measure_drain(given: argparse.Namespace) -> dict[str, Any]:
    """Ends servers that are being asked."""
    rounds = []
    for _ in range(given.rounds):
        with serving(given.run, given.threads) as server:
            requests = recommendations(server)
            told = asyncio.run(ask_until_the_end(server, requests, given.connections))
            told["exit_code"] = server.started.wait(60)
        rounds.append(told)
    return {"rounds": rounds, "lost": sum(told["lost"] for told in rounds)}


# The page


def render(results: Path) -> None:
    """Puts what was measured into the page, between its marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    lines = []
    for name, word in (
        ("load", _load),
        ("schema", _schema),
        ("hostile", _hostile),
        ("drain", _drain),
    ):
        path = results / f"serve-{name}.json"
        if path.is_file():
            lines.append("- " + word(json.loads(path.read_text(encoding="utf-8"))))
    begin, end = "<!-- measured -->", "<!-- /measured -->"
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    DOCUMENT.write_text(f"{head}{begin}\n{chr(10).join(lines)}\n{end}{tail}", encoding="utf-8")


def _load(found: dict[str, Any]) -> str:
    times = found["ms"]
    told = ""
    if found["load_of_the_machine"] > BUSY:
        told = (
            " So busy a machine says nothing of the times on a free one, which are to be measured."
        )
    return (
        f"`serve.py load`: {found['requests']:,} recommendations at {found['rate']:,} a second, "
        f"{found['answered_per_second']:,.0f} a second answered, half of them within "
        f"{times['p50']:.1f} ms, 95 of 100 within {times['p95']:.1f} ms, 99 within "
        f"{times['p99']:.1f} ms; {found['server_ms_per_request']:.2f} ms of one core each (the "
        f"client {found['client_ms_per_request']:.2f} ms more), {found['mean_batch']:.1f} answered "
        f"together on average; the load of the machine beside it was "
        f"{found['load_of_the_machine']:.1f}.{told}"
    )


def _schema(found: dict[str, Any]) -> str:
    outcome = "FAILURES"
    if found["passed"]:
        outcome = "no failure"
    return (
        f"`serve.py schema`: schemathesis with all of its checks, {found['cases'] or 0:,} cases "
        f"over {found['operations']} operations: {outcome}."
    )


def _hostile(found: dict[str, Any]) -> str:
    statuses = ", ".join(
        f"{status}: {count:,}" for status, count in sorted(found["statuses"].items())
    )
    return (
        f"`serve.py hostile`: {found['requests']:,} damaged and crafted bodies and pictures "
        f"(answers by status: {statuses}); {found['fault_count']} faults, the slowest "
        f"{found['slowest_seconds']:.2f} s, {found['most_megabytes_above']:.0f} MB above what the "
        f"process had; alive at the end: {found['alive']}."
    )


def _drain(found: dict[str, Any]) -> str:
    answered = sum(told["answered"] for told in found["rounds"])
    return (
        f"`serve.py drain`: SIGTERM under load, {len(found['rounds'])} times: {answered:,} "
        f"requests answered, {found['lost']} lost of those that were sent before it."
    )


MEASURES = {
    "load": measure_load,
    "hostile": measure_hostile,
    "schema": measure_schema,
    "drain": measure_drain,
}


def main() -> None:
    """Measures what was asked for."""
    words = parser(__doc__, threads=1)
    words.add_argument("what", choices=[*MEASURES, "page"])
    words.add_argument("--run", action="append", default=[], help="folder of a run")
    words.add_argument("--rate", type=float, default=1000)
    words.add_argument("--seconds", type=float, default=10)
    words.add_argument("--connections", type=int, default=64)
    words.add_argument("--inputs", type=int, default=1000)
    words.add_argument("--cases", type=int, default=1000)
    words.add_argument("--rounds", type=int, default=5)
    given = arguments(words)
    if given.what == "page":
        render(given.results)
        return
    if not given.run:
        words.error("--run RUN is needed")
    found = MEASURES[given.what](given)
    given.run = [Path(run).name for run in given.run]
    write(f"serve-{given.what}", found, given)
    print(json.dumps({key: value for key, value in found.items() if key != "end"}, indent=1))


if __name__ == "__main__":
    main()
