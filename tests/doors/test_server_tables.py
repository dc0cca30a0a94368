"""Tables over HTTP: codes, rows, odd cells and gaps as the run itself has them."""

import polars
import pytest

import lowerbound
from lowerbound.doors.server.inputs import read_rows
from lowerbound.doors.server.scoring import describe_odd_cells

ROWS = [
    {"age": 30, "job": "nurse", "pay": 1600.5, "member": True},
    {"age": 70, "job": "retired", "pay": None, "member": False},
    {"pay": 2400.0, "job": "baker"},
]


@pytest.fixture(scope="module")
def frame():
    """The rows as a frame."""
    return polars.DataFrame(
        {
            "age": [30, 70, None],
            "job": ["nurse", "retired", "baker"],
            "pay": [1600.5, None, 2400.0],
            "member": [True, False, None],
        }
    )


def test_rows_are_read_as_a_frame_is(people_run, frame):
    assert read_rows(people_run, ROWS).select(frame.columns).equals(frame)


def test_codes_and_means_of_rows(several, people_run, frame):
    found = several.post("/runs/people/encode", json={"examples": ROWS}).json()
    codes = people_run.encode(frame)
    assert found["levels"][0]["z"] == codes[0].double().tolist()
    decoded = several.post("/runs/people/decode", json={"z": found["levels"][0]["z"]}).json()
    assert decoded["rows"] == people_run.decode(codes[0]).to_dicts()
    drawn = several.post("/runs/people/sample", json={"n": 3, "seed": 5}).json()["rows"]
    assert drawn == people_run.sample(3, seed=5).to_dicts()


def test_scores_and_odd_cells(several, people_run):
    odd = {"age": 20, "job": "retired", "pay": 9999.0, "member": True}
    found = several.post("/runs/people/score", json={"examples": [ROWS[0], odd]}).json()
    plain, strange = found["examples"]
    assert strange["log_likelihood"] < plain["log_likelihood"]
    assert strange["odd"][0]["column"] == "pay"
    assert strange["odd"][0]["below"] < 0
    assert strange["percentile"] <= plain["percentile"]
    expected = lowerbound.score(people_run, polars.DataFrame([ROWS[0], odd]), samples=100)
    assert expected.odd is not None
    assert found["samples"] == 100
    means = several.post("/runs/people/reconstruct", json={"examples": [odd]}).json()["examples"]
    assert means[0]["original"] == odd
    assert means[0]["residual"]["pay"] == pytest.approx(9999.0 - means[0]["mean"]["pay"])


def test_gaps_are_filled_as_impute_does(several, people_run, frame):
    body = {"rows": ROWS, "samples": 50, "multiple": 2, "seed": 3}
    found = several.post("/runs/people/impute", json=body).json()
    expected = lowerbound.impute(people_run, frame, samples=50, multiple=2, seed=3, progress=False)
    names = frame.columns
    filled = polars.DataFrame(found["rows"]).select(names)
    assert filled.to_dicts() == expected.frame.to_dicts()
    assert len(found["copies"]) == 2
    assert found["filled"] == {name: int(n) for name, n in expected.filled.items()}
    assert several.post("/runs/digits/impute", json=body).status_code == 404


def test_what_a_column_does_not_know_is_told(several):
    rows = [{"job": "astronaut", "age": 30}]
    found = several.post("/runs/people/encode", json={"examples": rows}).json()
    assert "astronaut" in found["notes"][0]
    again = several.post("/runs/people/encode", json={"examples": [{"age": 30}]}).json()
    assert again["notes"] == []
    assert again["levels"] == found["levels"]


def test_rows_of_a_file(several):
    text = "age,job,pay,member\n30,nurse,1600.5,true\n"
    by_file = several.post("/runs/people/reconstruct/file", files={"file": ("r.csv", text)})
    by_rows = several.post("/runs/people/reconstruct", json={"examples": ROWS[:1]})
    assert by_file.json()["examples"] == by_rows.json()["examples"]
    other = several.post("/runs/people/reconstruct/file", files={"file": ("r.xyz", text)})
    assert other.status_code == 422


MISTAKES = [
    ({"examples": [{"agee": 3}]}, "did you mean 'age'"),
    ({"examples": [{"age": [3]}]}, "examples.0.age"),
    ({"examples": [[3, "nurse"]]}, "examples.0"),
    ({"examples": ["AAAA"]}, "examples.0"),
]


@pytest.mark.parametrize(("body", "words"), MISTAKES)
def test_mistakes(several, body, words):
    answer = several.post("/runs/people/encode", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_columns_are_described(several):
    columns = several.get("/runs/people").json()["columns"]
    assert [column["name"] for column in columns] == ["age", "job", "pay", "member"]
    assert columns[1]["levels"] == ["baker", "nurse", "retired"]
    assert columns[1]["low"] is None
    assert columns[0]["low"] >= 18


def test_tensors_of_a_run_on_images(several, digits_run):
    """The Open Inference Protocol gives what the run gives."""
    images = digits_run.data().test.tensor(slice(0, 2))
    tensor = {"name": "x", "shape": [2, 1, 8, 8], "datatype": "FP32"}
    body = {"id": "7", "inputs": [tensor | {"data": images.flatten().tolist()}]}
    found = several.post("/v2/models/digits/infer", json=body).json()
    assert found["id"] == "7"
    outputs = {each["name"]: each for each in found["outputs"]}
    codes = digits_run.encode(images.numpy())[0]
    assert outputs["z0"]["data"] == codes.double().flatten().tolist()
    assert outputs["mean"]["shape"] == [2, 1, 8, 8]
    z = {"name": "z0", "shape": list(codes.shape), "datatype": "FP32", "data": codes.tolist()}
    decoded = several.post("/v2/models/digits-decoder/infer", json={"inputs": [z]}).json()
    assert decoded["outputs"][0]["data"] == outputs["mean"]["data"]
    wrong = several.post("/v2/models/digits/infer", json={"inputs": [z]})
    assert wrong.status_code == 422
    assert several.get("/v2/models/digits").json()["inputs"][0]["shape"] == [-1, 1, 8, 8]


def test_tensors_of_a_recommender(several, films_run):
    items = {"name": "items", "shape": [2, 3], "datatype": "INT64", "data": [0, 4, -1, 9, -1, -1]}
    body = {"inputs": [items], "parameters": {"k": 4}, "outputs": [{"name": "items"}]}
    (found,) = several.post("/v2/models/films0/infer", json=body).json()["outputs"]
    body = {"histories": [[100, 104], [109]], "k": 4}
    lists = several.post("/runs/films0/recommend/batch", json=body).json()["lists"]
    expected = [[line["item"] - 100 for line in each["items"]] for each in lists]
    assert found["data"] == expected[0] + expected[1]


def test_examples_that_are_most_alike(several, people_run, digits_run):
    """By row, by values, and for images; a text is never taken for the path of a file."""
    expected = people_run.similar(7, k=3).to_frame().to_dicts()
    found = several.post("/runs/people/similar", json={"to": 7, "k": 3}).json()
    assert found["items"] == expected
    row = people_run.data().split("all").take(slice(7, 8))
    image = digits_run.data().test.values_at(slice(0, 1))[0, 0].tolist()
    nearest = several.post("/runs/digits/similar", json={"to": image, "k": 2}).json()["items"]
    assert nearest[0]["row"] == digits_run.data().test.rows[0]
    assert len(row) == 1
    shares = (digits_run.data().test.values_at(slice(0, 1))[0, 0] / 16).tolist()
    assert (
        several.post("/runs/digits/similar", json={"to": shares, "k": 2}).json()["items"] == nearest
    )
    between = several.post("/runs/digits/similar", json={"to": [[0.37] * 8] * 8, "k": 2})
    assert between.status_code == 200, between.text
    for to, status in ((10**6, 404), ("/etc/passwd", 422), (1.5, 422), ({"a": 1}, 422)):
        answer = several.post("/runs/people/similar", json={"to": to})
        assert answer.status_code == status, answer.text


def test_odd_cells_of_many_rows_are_described_once_each(several, monkeypatch):
    told = []

    def describe(odd, row):
        told.append(row)
        return describe_odd_cells(odd, row)

    monkeypatch.setattr("lowerbound.doors.server.scoring.describe_odd_cells", describe)
    several.post("/runs/people/reconstruct", json={"examples": [{}] * 9})
    assert told == list(range(9))
