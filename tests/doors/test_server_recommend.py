"""Recommending over HTTP: the answers are those of `Recommender` to the last bit, also of requests
that come together.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars
import pytest
from starlette.testclient import TestClient

from lowerbound.data import Items
from lowerbound.doors.server import create_app
from lowerbound.doors.server.search import ItemSearch
from lowerbound.recommend import Catalogue, Recommender, bounds

HISTORIES = [[100, 101], ["Fargo"], [120, "Heat", 121, 122], ["alien", 139], list(range(100, 130))]


@pytest.fixture(scope="module")
def alone(films_run):
    """The recommender itself."""
    return Recommender(films_run)


def told(found):
    """A list as the server tells it."""
    return [{"item": line.item, "title": line.title, "score": line.score} for line in found]


def test_the_answers_are_those_of_the_recommender(several, alone):
    for history in HISTORIES:
        body = {"history": history, "k": 5}
        answer = several.post("/runs/films0/recommend", json=body).json()
        items = told(alone.recommend(history, 5))
        assert answer == {"items": items, "unknown": [], "popular": False}
    body = {"histories": [*HISTORIES, ["nothing"]], "k": 7}
    lists = several.post("/runs/films0/recommend/batch", json=body).json()["lists"]
    assert [each["items"] for each in lists[:-1]] == [
        told(alone.recommend(history, 7)) for history in HISTORIES
    ]
    popular = alone.recommend(["nothing"], 7)
    assert lists[-1] == {"items": told(popular), "unknown": ["nothing"], "popular": True}


def test_a_batch_takes_what_is_known_of_its_users(conditional, conditional_run):
    alone = Recommender(conditional_run)
    ages = [20, 70, None, None]
    histories = [[1, 2], [], [3], []]
    body = {"histories": histories, "given": {"age": ages}, "k": 4}
    answer = conditional.post("/runs/conditional0/recommend/batch", json=body)
    assert answer.status_code == 200, answer.text
    lists = answer.json()["lists"]
    for history, age, found in zip(histories, ages, lists, strict=True):
        expected = []
        if history or age is not None:
            expected = told(alone.recommend(history, 4, given={"age": age}))
        assert found["items"] == expected
    body = {"histories": histories, "given": {"age": 70}, "k": 4}
    lists = conditional.post("/runs/conditional0/recommend/batch", json=body).json()["lists"]
    assert lists[3]["items"] == told(alone.recommend([], 4, given={"age": 70}))
    for given, words in (({"age": [1, 2]}, "one for each of the 4, got 2"), ({"x": 1}, "x")):
        answer = conditional.post(
            "/runs/conditional0/recommend/batch", json=body | {"given": given}
        )
        assert answer.status_code == 422
        assert words in answer.json()["detail"]


def test_requests_that_come_together_are_answered_as_each_alone(several, alone):
    rng = np.random.default_rng(0)
    bodies = []
    for _ in range(60):
        history = rng.choice(np.arange(100, 140), rng.integers(1, 9), replace=False).tolist()
        body = {"history": history, "k": int(rng.integers(1, 6))}
        if rng.random() < 0.3:
            body["deny"] = rng.choice(np.arange(100, 140), 5).tolist()
        bodies.append(body)

    def ask(body):
        return several.post("/runs/films0/recommend", json=body).json()["items"]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, bodies))
    for body, answer in zip(bodies, answers, strict=True):
        limits = {"deny": body.get("deny", ())}
        assert answer == told(alone.recommend(body["history"], body["k"], **limits))


def test_limits_are_kept(several, alone):
    body = {"history": [100], "k": 3, "allow": [101, 102, 103], "deny": ["Brazil"]}
    items = several.post("/runs/films0/recommend", json=body).json()["items"]
    assert items == told(alone.recommend([100], 3, allow=[101, 102, 103], deny=["Brazil"]))
    assert {line["item"] for line in items} == {101, 103}
    again = {"history": [100], "exclude_seen": False, "k": 40}
    assert len(several.post("/runs/films0/recommend", json=again).json()["items"]) == 40


def test_wishes_are_met(several, alone):
    body = {
        "history": [100, 104],
        "k": 6,
        "where": "popularity < 35 OR title LIKE 'Film%'",
        "boost": [{"where": "item > 120", "nats": 0.5}, {"items": ["Heat"], "nats": -3}],
        "less_popular": 0.2,
        "at_most": {"n": 1, "per": "item"},
        "diversity": 0.5,
    }
    found = several.post("/runs/films0/recommend", json=body).json()
    expected = alone.recommend(
        [100, 104],
        6,
        where=body["where"],
        boost=[("item > 120", 0.5), ([107], -3)],
        less_popular=0.2,
        at_most=1,
        per="item",
        diversity=0.5,
    )
    assert found["items"] == told(expected)
    del body["history"]
    lists = several.post(
        "/runs/films0/recommend/batch", json=body | {"histories": [[100, 104], [101]]}
    ).json()["lists"]
    assert lists[0]["items"] == told(expected)


def test_a_user_of_the_own_data(films_run, tmp_path):
    """The whole history, found where the server has the data."""
    log = polars.DataFrame({"user": ["a", "a", "b", "b"], "item": [100, 103, 104, 105]})
    log.write_csv(tmp_path / "log.csv")
    app = create_app([films_run], sources=[str(tmp_path / "log.csv")])
    with TestClient(app, base_url="http://localhost") as client:
        for _ in range(600):
            if client.get("/readyz").status_code == 200:
                break
            time.sleep(0.02)
        name = next(iter(client.get("/runs").json()))["name"]
        by_user = client.post(f"/runs/{name}/recommend", json={"user": "a", "k": 3}).json()
        history = client.post(f"/runs/{name}/recommend", json={"history": [100, 103], "k": 3})
        assert by_user == history.json()
        missing = client.post(f"/runs/{name}/recommend", json={"user": "z"})
        assert missing.status_code == 404
        assert "no user 'z' among the 2 of this run" in missing.json()["detail"]


def test_reasons_are_what_the_score_loses_without_each_item(several, alone):
    """The truth: the score of the item for the history without one of its items."""
    history = [100, 105, 110, 120]
    body = {"history": history, "k": 4, "explain": True}
    for line in several.post("/runs/films0/recommend", json=body).json()["items"]:
        shares = {}
        for item in history:
            rest = [other for other in history if other != item]
            scores = {
                each.item: each.score for each in alone.recommend(rest, 40, exclude_seen=False)
            }
            shares[item] = line["score"] - scores[line["item"]]
        lowered = sorted((-share, item) for item, share in shares.items() if share > 0)
        assert [reason["item"] for reason in line["because"]] == [item for _, item in lowered]
        for reason in line["because"]:
            assert reason["share"] == pytest.approx(shares[reason["item"]], abs=1e-6)


def test_one_item_is_explained_too(alone):
    (reasons,) = alone.explain(["Fargo"], ["Heat"])
    assert len(reasons) <= 1


MISTAKES = [
    ({}, 422, "one of history and user is needed"),
    ({"history": [100], "user": 3}, 422, "one of history and user is needed"),
    ({"user": 3}, 404, "nowhere"),
    ({"history": [100], "where": "yaer > 3"}, 409, "unknown column 'yaer' in where"),
    ({"history": [100], "where": "1 IN (SELECT 1)"}, 409, "SELECT is not allowed"),
    ({"history": [100], "where": "x" * 1001}, 422, "where"),
    ({"history": [100], "boost": [{"where": "item > 1"}]}, 422, "boost"),
    ({"history": [100], "boost": [{"items": [100], "nats": 1e9}]}, 422, "boost"),
    ({"history": [100], "boost": [{"items": [100], "nats": 1}] * 21}, 422, "boost"),
    ({"history": [100], "at_most": {"n": 2}}, 422, "per"),
    ({"history": [100], "at_most": {"n": 2, "per": "x"}}, 422, "unknown column 'x' in per"),
    ({"history": [100], "diversity": 0.5, "k": 101}, 409, "for lists of up to 100 items"),
    ({"history": [100], "diversity": 2}, 422, "diversity"),
    ({"history": [True]}, 422, "history.0"),
    ({"history": {"100": 3}}, 422, "count 1 each"),
    ({"history": [100], "k": 0}, 422, "k: "),
    ({"history": [100], "k": 1.5}, 422, "k: "),
    ({"history": [100], "allow": [100]}, 409, "nothing is left"),
    ({"history": [100], "allow": ["x"]}, 409, "nothing may be recommended"),
    ({"history": list(range(100, 140))}, 409, "nothing is left"),
    ({"history": [100], "users": 3}, 422, "users"),
]


@pytest.mark.parametrize(("body", "status", "words"), MISTAKES)
def test_mistakes(several, body, status, words):
    answer = several.post("/runs/films0/recommend", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_an_unknown_item_does_not_look_at_the_whole_catalogue(several, monkeypatch):
    """To look for similar names takes long: a few wrong requests would stop a server."""

    def refuse(*arguments):
        raise AssertionError("similar names were looked for")

    monkeypatch.setattr("lowerbound.recommend.items.near", refuse)
    answer = several.post("/runs/films0/recommend", json={"history": ["?"], "explain": True})
    assert answer.json()["popular"] is True
    assert several.get("/runs/films0/items/nothing").status_code == 404


def titles(several, typed, limit=10):
    found = several.get("/runs/films0/items", params={"q": typed, "limit": limit}).json()["items"]
    return [line["title"] for line in found]


def test_items_are_found_as_somebody_types(several):
    assert titles(several, "", 2) == ["Alien", "Aliens"]  # the most popular ones
    assert titles(several, "ali") == ["Alien", "Aliens"]
    assert titles(several, "ALIENS") == ["Aliens"]
    assert titles(several, "amelie") == ["Amélie"]
    assert titles(several, "number 7") == ["Film number 7", "Film number 17", "Film number 27"]
    assert titles(several, "solarsi") == ["Solaris"]
    assert titles(several, "qqqq") == []
    assert titles(several, "104") == ["Fargo"]
    line = several.get("/runs/films0/items/Fargo").json()
    assert line == {"item": 104, "title": "Fargo", "popularity": 35}


def test_the_order_of_what_is_found():
    names = ["The heat", "Wheat", "Heat", "Heated", "Wheat and heat"]
    search = ItemSearch(Catalogue(Items(np.arange(5), names)), np.array([1, 9, 1, 5, 2]))
    assert [names[column] for column in search.find("heat", 9)] == [
        "Heat", "Heated", "Wheat and heat", "The heat", "Wheat"
    ]  # fmt: skip


def test_likes_of_an_item(several, alone):
    answer = several.post("/runs/films0/similar", json={"to": "Alien", "k": 3}).json()
    assert answer["items"] == told(alone.similar("Alien", 3))
    assert several.post("/runs/films0/similar", json={"to": "?"}).status_code == 404


def test_codes_of_histories(several, alone):
    found = several.post("/runs/films0/encode", json={"examples": [[100], ["Heat", 101]]}).json()
    expected = alone.codes({0: [100], 1: ["Heat", 101]})
    np.testing.assert_array_equal(np.float32(found["levels"][0]["z"]), expected)
    wrong = {"examples": [[100]], "given": {"age": 3}}
    assert several.post("/runs/films0/encode", json=wrong).status_code == 422
    for history in (
        {"100": 1e6 + 1},
        {"100": 0},
        {"100": "much"},
        5,
        "Heat",
        [False],
        [100] * 10_001,
    ):
        answer = several.post("/runs/films0/encode", json={"examples": [history]})
        assert answer.status_code == 422, history
        assert answer.json()["detail"].startswith("examples: a history is a list of items, or")
    wrong = {"histories": [["?"]], "given": {"age": None}}
    assert several.post("/runs/films0/recommend/batch", json=wrong).status_code == 422
    assert several.post("/runs/films0/decode", json={"z": [0] * 6}).status_code == 404


def test_both_ways_to_the_best_agree(films_run, monkeypatch):
    """A small catalogue is scored in whole, a large one by bounds: the same lists to the bit."""
    whole = Recommender(films_run)
    monkeypatch.setattr(bounds.ItemTable, "is_small", property(lambda table: False))
    for history in HISTORIES:
        expected = whole.recommend(history, 8)
        monkeypatch.undo()
        assert whole.recommend(history, 8) == expected
        monkeypatch.setattr(bounds.ItemTable, "is_small", property(lambda table: False))


def test_counters_tell_what_was_asked(several):
    before = several.get("/metrics").text
    several.post("/runs/films0/recommend", json={"history": [100]})
    several.get("/no/such/path")
    after = several.get("/metrics").text
    name = 'lowerbound_requests_total{method="POST",path="/runs/{name}/recommend",status="200"}'

    def count(text):
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return sum(float(line.split()[1]) for line in lines)

    assert count(after) == count(before) + 1
    assert "/no/such/path" not in after
    assert 'lowerbound_batch_requests_count{run="films0"}' in after
