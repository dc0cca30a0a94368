"""The server as a process: what it prints, how it ends, and what it survives; and requests that
schemathesis makes of its own description.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from lowerbound.cli.serve import read_sources
from lowerbound.doors.server import create_app
from lowerbound.doors.server.launch import read_token
from lowerbound.errors import ConfigError

CASES = 3
"""Requests of each operation."""


def test_the_server_is_what_it_says(digits_run, films_run, people_run):
    """Requests made of the description, right and wrong ones, with the checks of schemathesis."""
    # The tool begins and ends the application itself, so that no other test can share it.
    app = create_app([digits_run, films_run, people_run])
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "localhost"})
    count = 0
    checks = [
        schemathesis.checks.CHECKS.get_one(name)
        for name in (
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_headers_conformance",
            "response_schema_conformance",
            "negative_data_rejection",
            "positive_data_acceptance",
            "unsupported_method",
        )
    ]

    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(("/file", "/compare")) or "/map" in operation.path:
            continue  # files and maps are looked at by tests of their own

        @settings(
            max_examples=CASES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case):
            nonlocal count
            count += 1
            case.call_and_validate(headers={"Host": "localhost"}, checks=checks)

        given(operation.as_strategy())(ask)()
    assert count > 100


@pytest.fixture(scope="module")
def started(digits_run):
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-m", "lowerbound", "serve", str(digits_run.folder), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    line = process.stdout.readline()
    assert line.startswith("serving at http://127.0.0.1:"), process.stderr.read()
    yield process, line.split()[-1].rstrip("/")
    if process.poll() is None:
        process.kill()
    process.communicate()


def ask(address, path, body=None):
    """The status and the answer of a request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, json.loads(answer.read())


def test_a_signal_ends_it_when_what_is_in_flight_is_answered(started):
    """Requests that take long are sent, then the signal; all of them are answered."""
    process, address = started
    assert ask(address, "/healthz") == (200, {"status": "alive"})
    image = [[0.5] * 8] * 8
    body = {"examples": [image] * 64, "samples": 500}
    statuses = []
    threads = []
    for _ in range(4):
        work = threading.Thread(
            target=lambda: statuses.append(ask(address, "/runs/digits/score", body)[0])
        )
        work.start()
        threads.append(work)
    while "lowerbound_waiting 4.0" not in metrics(address) and not statuses:
        pass
    process.send_signal(signal.SIGTERM)
    for work in threads:
        work.join(60)
    assert statuses == [200] * 4
    assert process.wait(60) == -signal.SIGTERM


def metrics(address):
    """The counters of a server."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        return answer.read().decode()


def test_other_hosts_need_a_token(monkeypatch):
    monkeypatch.delenv("LOWERBOUND_TOKEN", raising=False)
    assert read_token("127.0.0.1") is None
    with pytest.raises(ConfigError, match="can be reached by others: set LOWERBOUND_TOKEN"):
        read_token("0.0.0.0")
    monkeypatch.setenv("LOWERBOUND_TOKEN", "short")
    with pytest.raises(ConfigError, match="16 or more are needed"):
        read_token("127.0.0.1")
    monkeypatch.setenv("LOWERBOUND_TOKEN", "a secret with blanks")
    with pytest.raises(ConfigError, match="without blanks"):
        read_token("127.0.0.1")
    monkeypatch.setenv("LOWERBOUND_TOKEN", "sixteen-letters-")
    assert read_token("0.0.0.0") == "sixteen-letters-"


def test_sources_are_named_where_there_are_several_runs():
    runs = [Path("runs/a"), Path("runs/b")]
    assert read_sources([], runs) == []
    assert read_sources(["x=y.csv"], runs[:1]) == ["x=y.csv"]
    assert read_sources(["b=y.csv"], runs) == [None, "y.csv"]
    with pytest.raises(ConfigError, match=r"got y\.csv, the runs: a, b"):
        read_sources(["y.csv"], runs)


def test_mistakes_of_the_command_are_one_line(command, tmp_path):
    code, out, err = command("serve", tmp_path / "nothing")
    assert code == 2
    assert out == ""
    assert "is not a fitted run" in err
    code, _, err = command("serve", tmp_path, "--host", "0.0.0.0")
    assert code == 2
    assert err.count("\n") == 1
