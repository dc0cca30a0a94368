"""The server: the answers are those of the run, mistakes are told as problem details, and nobody
asks who may not.
"""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from lowerbound.doors.server import create_app
from lowerbound.doors.server.problems import Problem
from lowerbound.doors.server.served import Served
from lowerbound.doors.server.work import Work


@pytest.fixture(scope="module")
def images(digits_run):
    """Three images of the run's own data, on levels."""
    return digits_run.data().test.values_at(slice(0, 3))


def png(values):
    written = io.BytesIO()
    Image.fromarray(values).save(written, "PNG")
    return written.getvalue()


def test_runs_are_listed_and_described(digits, digits_run):
    (line,) = digits.get("/runs").json()
    assert line["name"] == "digits"
    assert line["kind"] == "images"
    told = digits.get("/runs/digits").json()
    assert told == digits.get("/run").json()
    assert told["shape"] == [1, 8, 8]
    assert told["has_data"] is True
    assert told["splits"]["test"] == len(digits_run.data().test)
    (level,) = told["levels"]
    assert level["dimensions"] == digits_run.model.latents.sizes[0]
    codes = digits_run.encode(digits_run.data().train)[0].numpy()
    expected = np.quantile(codes, level["ranks"], axis=0).T
    np.testing.assert_allclose(level["quantiles"], expected, atol=1e-5)


def test_codes_and_means_are_those_of_the_run(digits, digits_run, images):
    body = {"examples": images[:, 0].tolist()}
    found = digits.post("/runs/digits/encode", json=body).json()
    (codes,) = digits_run.encode(images)
    np.testing.assert_array_equal(np.float32(found["levels"][0]["z"]), codes.numpy())
    expected = digits_run.decode(codes).numpy()
    for asked in ({"z": codes.tolist()}, {"levels": [codes.tolist()]}):
        means = digits.post("/decode", json=asked).json()["images"]
        np.testing.assert_allclose(means, expected, atol=1e-6)
    one = digits.post("/decode", json={"levels": [codes[0].tolist()]}).json()["images"]
    np.testing.assert_allclose(one, expected[:1], atol=1e-6)


def test_pictures_come_where_they_are_asked_for(digits, digits_run):
    expected = digits_run.sample(1, seed=3).numpy()
    by_header = digits.post("/sample", json={"n": 1, "seed": 3}, headers={"Accept": "image/png"})
    by_query = digits.post("/sample?format=png", json={"n": 1, "seed": 3})
    assert by_header.headers["content-type"] == "image/png"
    assert by_header.content == by_query.content
    shown = np.asarray(Image.open(io.BytesIO(by_query.content)))
    np.testing.assert_array_equal(shown, np.rint(255 * expected[0, 0]))
    grid = digits.post("/sample?format=png", json={"n": 4, "seed": 3})
    assert np.asarray(Image.open(io.BytesIO(grid.content))).shape == (17, 17)


def test_a_picture_is_read_as_numbers_are(digits, images):
    """A picture of 8 bits whose greys are those of the levels is the image itself."""
    picture = png(np.rint(255 * (images[0, 0] / 16)).astype(np.uint8))
    as_text = base64.b64encode(picture).decode()
    expected = digits.post("/encode", json={"examples": images[:1, 0].tolist()}).json()
    for text in (as_text, f"data:image/png;base64,{as_text}"):
        assert digits.post("/encode", json={"examples": [text]}).json() == expected
    by_file = digits.post("/reconstruct/file", files={"file": ("seven.png", picture)}).json()
    by_numbers = digits.post("/reconstruct", json={"examples": images[:1, 0].tolist()}).json()
    assert by_file == by_numbers


def test_reconstructions_are_scored(digits, digits_run, images):
    found = digits.post("/reconstruct", json={"examples": images[:, 0].tolist()}).json()
    means = digits_run.reconstruct(images).numpy()
    for example, image, mean in zip(found["examples"], images, means, strict=True):
        content = base64.b64decode(example["mean"].partition(",")[2])
        shown = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_array_equal(shown, np.rint(255 * mean[0]))
        content = base64.b64decode(example["original"].partition(",")[2])
        shown = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_array_equal(shown, np.rint(255 * (image[0] / 16)))
    scores = digits.post("/score", json={"examples": images[:, 0].tolist()}).json()
    assert [example["score"] for example in found["examples"]] == scores["examples"]
    assert scores["reference_split"] == "validation"
    for line in scores["examples"]:
        assert 0 <= line["percentile"] <= 100
        assert line["log_likelihood"] > line["elbo"] - 1


MISTAKES = [
    ("encode", {"examples": []}, 422, "examples"),
    ("encode", {"example": []}, 422, "is missing"),
    ("encode", {"examples": [[[1]]]}, 422, "(1, 1, 1)"),
    ("encode", {"examples": [[[1, 2], [3]]]}, 422, "one shape"),
    ("encode", {"examples": [[[1, True]]]}, 422, "examples.0.0.1: should be a number"),
    ("encode", {"examples": ["AAAA"]}, 422, "cannot identify it as an image"),
    ("encode", {"examples": ["?"]}, 422, "base64"),
    ("encode", {"examples": [[[99] * 8] * 8]}, 422, "levels"),
    ("encode", {"examples": [[[1e300] * 8] * 8]}, 422, ""),
    ("encode", {"examples": [[[10**400] * 8] * 8]}, 422, ""),
    ("decode", {}, 422, "one of z and levels"),
    ("decode", {"z": [1, 2]}, 422, "8"),
    ("decode", {"z": [0] * 8, "level": 7}, 422, "levels"),
    ("decode", {"z": [1e30] * 8}, 422, "z: numbers from"),
    ("decode", {"levels": [[0] * 8, [0] * 8]}, 422, "all 1 levels"),
    ("decode", {"z": [0] * 8, "given": {"label": 3}}, 422, "not conditional"),
    ("decode", {"levels": [[0] * 8], "given": {"label": 3}}, 422, "not conditional"),
    ("sample", {"n": 0}, 422, "n: "),
    ("sample", {"n": 10**6}, 422, "n: "),
    ("sample", {"n": True}, 422, "n: "),
    ("sample", {"temperature": -1}, 422, "temperature: "),
    ("score", {"examples": [[[0] * 8] * 8], "samples": 9999}, 422, "samples: "),
]


@pytest.mark.parametrize(("path", "body", "status", "words"), MISTAKES)
def test_mistakes_are_told_in_one_line(digits, path, body, status, words):
    content = json.dumps(body)
    answer = digits.post(
        f"/runs/digits/{path}", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert words in told["detail"]
    assert "\n" not in told["detail"]


def test_what_is_not_there_is_not_found(digits):
    for method, path in (("GET", "/nothing"), ("GET", "/runs/else"), ("POST", "/runs/else/score")):
        answer = digits.request(method, path, json={"examples": [0]})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    refused = digits.put("/runs")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET"


def test_large_bodies_are_refused_before_they_are_read(digits):
    def endless():
        for _ in range(20):
            yield b"[" * 2**20

    by_length = digits.post("/encode", content=b" " * (2**23 + 1))
    by_count = digits.post("/encode", content=endless())
    for answer in (by_length, by_count):
        assert answer.status_code == 413
        assert "8,388,608 bytes" in answer.json()["detail"]
    deep = digits.post(
        "/encode", content=b"[" * 10**6, headers={"Content-Type": "application/json"}
    )
    assert deep.status_code in (400, 422)


def test_other_hosts_and_pages_are_refused(digits):
    rebound = digits.get("/runs", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    across = digits.post(
        "/sample", json={"n": 1}, headers={"Sec-Fetch-Site": "cross-site", "Host": "localhost"}
    )
    assert across.status_code == 403
    assert "default-src 'self'" in digits.get("/").headers["content-security-policy"]


def test_a_token_is_asked_of_everybody(digits_run):
    token = "a-secret-of-many-letters"
    with TestClient(create_app([digits_run], token=token), base_url="http://localhost") as client:
        assert client.get("/runs").status_code == 401
        assert client.get("/runs").headers["www-authenticate"] == "Bearer"
        assert client.get("/runs", headers={"Authorization": "Bearer wrong"}).status_code == 401
        right = {"Authorization": f"Bearer {token}", "Host": "any.example"}
        assert client.get("/runs", headers=right).status_code == 200
        led = client.get(f"/?token={token}", follow_redirects=False)
        assert led.status_code == 303
        assert "HttpOnly" in led.headers["set-cookie"]
        assert client.get("/runs").status_code == 200  # the client keeps the cookie


MANY = [
    ("{" + ",".join(f'"k{key}": 1' for key in range(10**5)) + "}", "has 100000 keys"),
    ('{"examples": [[' + "[true]," * 10**5 + "[true]]]}", "examples.0.0.0: should be a number"),
    ('{"examples": [[[' + "true," * 10**5 + "true]]]}", "examples.0.0.0: should be a number"),
]


@pytest.mark.parametrize(("body", "words"), MANY)
def test_one_mistake_of_very_many_is_told(digits, body, words):
    """To tell of all of them would take seconds."""
    answer = digits.post("/encode", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert "more)" not in answer.json()["detail"]


def test_a_server_downloads_nothing(digits_run, monkeypatch):
    monkeypatch.setattr("lowerbound.data.named.fetch.Named.found", lambda self: None)
    thread = Work()
    served = Served("digits", digits_run, thread, thread)
    assert not served.has_data
    with pytest.raises(Problem, match="a server downloads nothing"):
        _ = served.data
    thread.close()
