"""Downloads, against a small server on this machine: what is fetched is whole and checked, or it is
not there.
"""

import gzip
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lowerbound.data import Data, named_sets
from lowerbound.data.named import entries, fetch
from lowerbound.errors import DataError, DownloadError


def idx(values: np.ndarray) -> bytes:
    """The array as a compressed IDX file."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


FILES = {
    "train-images-idx3-ubyte.gz": idx(np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)),
    "train-labels-idx1-ubyte.gz": idx(np.arange(5, dtype=np.uint8)),
    "t10k-images-idx3-ubyte.gz": idx(np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)),
    "t10k-labels-idx1-ubyte.gz": idx(np.arange(2, dtype=np.uint8)),
}


@dataclass
class Mirrors:
    """A server with three mirrors: good/, bad/ (other bytes) and cut/ (ends early); `asked` are the
    requests it had.
    """

    url: str
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    mirrors: Mirrors

    def do_GET(self) -> None:
        self.mirrors.asked.append(self.path)
        _, mirror, name = self.path.split("/")
        if mirror not in ("good", "bad", "cut"):
            self.send_error(404)
            return
        body = b"something else" if mirror == "bad" else FILES[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mirror == "cut" else body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirrors() -> Iterator[Mirrors]:
    handler = type("ThisHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.mirrors = Mirrors(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield handler.mirrors
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; no data folder; no proxy between us and the server."""
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch):
    """Give MNIST these mirrors, and the checksums of our small files."""

    def use(*urls: str) -> None:
        sums = {name: hashlib.sha256(body).hexdigest() for name, body in FILES.items()}
        monkeypatch.setitem(
            entries.NAMED, "mnist", replace(entries.NAMED["mnist"], mirrors=urls, files=sums)
        )

    return use


def left(cache: Path) -> list[str]:
    """All files in the cache."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def refused(source: str = "mnist") -> str:
    """The line with which the set is refused."""
    with pytest.raises(DownloadError) as caught:
        Data(source).open()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_set_is_downloaded_once(mirrors: Mirrors, serve, cache: Path) -> None:
    serve(mirrors.url + "good/")
    assert named_sets()["mnist"].found() is None
    first = Data("mnist", validation=0).open()
    assert len(first.train) == 5
    assert len(first.test) == 2
    assert first.test.labels.tolist() == [0, 1]
    assert left(cache) == sorted(FILES)
    assert named_sets()["mnist"].found() == cache / "mnist"
    assert Data("mnist", validation=0).open().fingerprint() == first.fingerprint()
    assert len(mirrors.asked) == 4


@pytest.mark.parametrize(
    ("mirror", "why"), [("bad", "wrong checksum"), ("cut", "cut off"), ("gone", "HTTP 404")]
)
def test_a_failing_mirror_falls_through_to_the_next(
    mirrors: Mirrors, serve, cache: Path, mirror: str, why: str
) -> None:
    serve(mirrors.url + mirror + "/")
    line = refused()
    assert why in line
    assert "train-images-idx3-ubyte.gz" in line
    assert left(cache) == []
    serve(mirrors.url + mirror + "/", mirrors.url + "good/")
    assert len(Data("mnist", validation=0).open().train) == 5


def test_a_damaged_file_in_the_cache_is_fetched_again(mirrors: Mirrors, serve, cache: Path) -> None:
    serve(mirrors.url + "good/")
    Data("mnist", validation=0).open()
    (cache / "mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(b"rot")
    assert len(Data("mnist", validation=0).open().test) == 2
    assert len(mirrors.asked) == 5


def test_without_a_network_the_line_says_what_to_put_where(serve, cache: Path) -> None:
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))  # bound, but nobody listens: connections are refused
        serve(*(f"http://127.0.0.1:{idle.getsockname()[1]}/{mirror}/" for mirror in "ab"))
        line = refused()
    assert line.count("no connection") == 2
    assert "LOWERBOUND_DATA" in line
    assert "mnist/train-images-idx3-ubyte.gz" in line
    assert left(cache) == []


def test_a_silent_mirror_is_given_up(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        serve(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert "timed out" in refused()


def test_freyfaces_can_only_be_brought() -> None:
    line = refused("freyfaces")
    assert "freyfaces/freyfaces.npz" in line
    assert "LOWERBOUND_DATA" in line


def test_freyfaces_in_the_cache_are_read(cache: Path) -> None:
    (cache / "freyfaces").mkdir(parents=True)
    np.savez(cache / "freyfaces" / "freyfaces.npz", images=np.full((4, 28, 20), 7, np.uint8))
    assert Data("freyfaces", validation=0, test=0).open().schema.shape == (1, 28, 20)


def test_own_files_are_not_checked_against_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnist").mkdir()
    for name, body in FILES.items():
        (tmp_path / "mnist" / name.removesuffix(".gz")).write_bytes(gzip.decompress(body))
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path))
    assert named_sets()["mnist"].found() == tmp_path / "mnist"
    assert len(Data("mnist", validation=0).open().test) == 2
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(b"rot")
    with pytest.raises(DataError, match="t10k-labels"):
        Data("mnist").open()


def test_half_a_set_of_ones_own_is_not_taken_for_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve
) -> None:
    serve()
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(
        FILES["train-images-idx3-ubyte.gz"]
    )
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path))
    assert "mnist/t10k-labels-idx1-ubyte.gz" in refused()


def test_every_download_has_a_checksum_and_two_mirrors() -> None:
    for record in named_sets().values():
        assert record.summary
        if record.mirrors:
            assert len(record.mirrors) >= 2
            assert all(url.endswith("/") for url in record.mirrors)
            assert all(len(digest) == 64 for digest in record.files.values())


def test_digits_need_no_download() -> None:
    assert named_sets()["digits"].found() == "scikit-learn"
