"""What a recommender can be asked: users by id, conditions on items, boosts, groups, diversity,
reasons; one small run of films serves all of it.
"""

import dataclasses
import json

import numpy as np
import pandas
import polars
import pytest
import torch
from scipy.sparse import csr_matrix, vstack

import lowerbound
from lowerbound.data import History, Schema
from lowerbound.data.interactions.decay import fading
from lowerbound.errors import ConfigError, DataError
from lowerbound.recommend import Recommender, calibration, rerank
from lowerbound.recommend.expressions import holds
from lowerbound.recommend.people import nearest_codes
from lowerbound.recommend.rerank import Groups, Spread, best_spread
from lowerbound.report.sections.recommender import probabilities

FILMS = 60
GENRES = ("Comedy", "Drama|Romance", "Horror", "Comedy|Romance", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on 90 users of 60 films, who like those whose number has their own remainder by 3."""
    place = tmp_path_factory.mktemp("questions")
    rng = np.random.default_rng(0)
    rows = []
    for user in range(90):
        liked = np.arange(user % 3, FILMS, 3)
        chosen = rng.choice(liked, 9, replace=False).tolist() + rng.choice(FILMS, 2).tolist()
        for turn, film in enumerate(chosen):
            rows.append((f"u{user}", film, turn * 86_400))
    log = polars.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row")
    log.write_csv(place / "log.csv")
    films = polars.DataFrame(
        {
            "item": range(FILMS),
            "title": [f"Film {film}" for film in range(FILMS)],
            "genre": [GENRES[film % 5] for film in range(FILMS)],
            "made": [1960 + film for film in range(FILMS)],
        }
    )
    films.write_csv(place / "films.csv")
    settings = {
        "data.interactions.items": str(place / "films.csv"),
        "model.latent": [6],
        "model.network.hidden": [16],
        "training.epochs": 8,
        "training.batch_size": 30,
        "report.write": False,
    }
    lowerbound.fit(
        "multvae",
        data=str(place / "log.csv"),
        out=place / "run",
        settings=settings,
        progress=False,
    )
    return place / "run"


@pytest.fixture(scope="module")
def films(folder):
    return Recommender.load(folder)


def ids(found):
    return [each.item for each in found]


# Users


def test_a_user_by_id_is_the_whole_history(films):
    whole = films.run.data().whole
    row = whole.users.tolist().index("u7")
    history = whole.matrix[row].indices.tolist()
    found = films.recommend(films.history_of("u7"), 5)
    assert found == films.recommend(history, 5)
    assert not set(ids(found)) & set(history)
    several = films.recommend_many(films.histories_of(["u7", "u2"]), 5)
    assert several.users.tolist() == ["u7", "u2"]
    assert several.items[0].tolist() == ids(found)


def test_similar_users_by_the_cosine_of_their_codes(films):
    whole = films.run.data().whole
    codes = films.codes(whole).astype(np.float64)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    row = whole.users.tolist().index("u7")
    cosines = unit @ unit[row]
    cosines[row] = -2
    found = films.similar_users(films.history_of("u7"), 4)
    order = np.argsort(-cosines, kind="stable")[:4]
    assert [each.user for each in found] == whole.users[order].tolist()
    assert np.allclose([each.similarity for each in found], cosines[order])
    own = set(whole.matrix[row].indices.tolist())
    popularity = films.run.items.popularity
    for each, other in zip(found, order, strict=True):
        shared = [item.item for item in each.shared]
        assert set(shared) == own & set(whole.matrix[other].indices.tolist())
        assert (np.diff(popularity[shared]) >= 0).all()
    # A history that is nobody's may be that of anybody.
    again = films.similar_users(sorted(own), 1)
    assert again[0].user == "u7"
    assert again[0].similarity == pytest.approx(1)
    assert found.searched == 90


def test_a_code_of_zeros_is_like_nothing():
    assert nearest_codes(np.array([[0, 0], [3, 4.0]]), np.array([3, 4.0])).tolist() == [0, 1]
    assert nearest_codes(np.ones((2, 2)), np.zeros(2)).tolist() == [0, 0]


# Users of whom nothing is known


def test_who_is_not_known_gets_what_is_popular(films):
    popularity = films.run.items.popularity
    order = np.argsort(-popularity, kind="stable")
    found = films.recommend([], 6)
    assert found.popular
    assert ids(found) == order[:6].tolist()
    assert np.allclose([each.score for each in found], np.log(popularity[order[:6]]))
    unknown = films.recommend(["nothing", 999], 6)
    assert (unknown.popular, unknown.unknown) == (True, ("nothing", 999))
    assert unknown == found
    assert not films.recommend([3], 6).popular
    many = films.recommend_many({"a": [3], "b": [], "c": ["x"]}, 6)
    assert many.popular.tolist() == [False, True, True]
    assert many.items[1].tolist() == many.items[2].tolist() == ids(found)
    assert many.scores[1].tolist() == [each.score for each in found]
    assert many.to_frame()["popular"].to_list() == [False] * 6 + [True] * 12
    limited = films.recommend([], 3, where="made > 2000", boost={"made = 2019": 50.0})
    assert limited[0].item == 59
    assert all(item > 40 for item in ids(limited))


def test_a_run_that_does_not_know_what_is_popular_recommends_nothing(films):
    """As runs of older versions do."""
    run = lowerbound.load(films.run.folder)
    run.items = dataclasses.replace(run.items, popularity=None)
    older = Recommender(run)
    with pytest.raises(DataError, match="the history is empty"):
        older.recommend([])
    with pytest.raises(DataError, match="no item 'x' among the 60"):
        older.recommend(["x"])
    many = older.recommend_many({"a": [3], "b": []}, 2)
    assert many.counts.tolist() == [2, 0]
    assert "popular" not in many.to_frame().columns
    with pytest.raises(ConfigError, match="less_popular needs the number of users of each item"):
        older.recommend([3], less_popular=1)
    told = Recommender(films.run, nothing_known="nothing")
    with pytest.raises(DataError, match="the history is empty"):
        told.recommend([])


# Time


def test_what_is_old_fades(films):
    """By the formula, of the times of the log: a day between two interactions of a user."""
    whole = films.run.data().whole
    row = whole.users.tolist().index("u7")
    found = films.history_of("u7", half_life=2)
    log = polars.read_csv(films.run.folder.parent / "log.csv")
    times = log.filter(user="u7").group_by("item").agg(polars.col("timestamp").min())
    days = dict(zip(times["item"], times["timestamp"] / 86_400, strict=True))
    latest = max(days.values())
    items = found.matrix.indices.tolist()
    assert items == whole.matrix[row].indices.tolist()
    expected = [2 ** (-(latest - days[item]) / 2) for item in items]
    assert np.allclose(found.matrix.data, expected)
    faded = films.recommend(found, 5)
    assert faded != films.recommend(films.history_of("u7"), 5)
    assert not set(ids(faded)) & set(items)
    still = films.recommend(films.history_of("u7", half_life=1e9), 5)
    assert ids(still) == ids(films.recommend(films.history_of("u7"), 5))


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_units_of_times_are_told_by_their_size(unit):
    time = (np.array([1.6e9, 1.6e9 + 86_400, 1.5e9]) * unit).astype(np.int64)
    left = fading(time, np.array([0, 0, 1]), 1.0)
    assert left.tolist() == pytest.approx([0.5, 1, 1])
    assert fading(time[:2], np.array([0, 0]), 0.001)[0] == 2**-20


# Limits


def test_where_is_an_expression_over_the_items(films):
    usual = ids(films.recommend([0, 3], FILMS))
    recent = ids(films.recommend([0, 3], FILMS, where="made >= 2000"))
    assert recent == [item for item in usual if item >= 40]
    funny = ids(films.recommend([0, 3], FILMS, where="genre LIKE '%Comedy%' AND made < 1990"))
    assert funny == [item for item in usual if item < 30 and item % 5 in (0, 3)]
    alone = ids(films.recommend([0, 3], FILMS, where="genre = 'Comedy'", deny=[5, 10]))
    assert alone == [item for item in usual if item % 5 == 0 and item not in (5, 10)]
    assert all(item >= 40 for item in ids(films.similar(3, 5, where="made >= 2000")))


TABLE = polars.DataFrame(
    {"item": [1, 2, 3], "year": [1990, 1995, None], "my col": ["a|b", "b", ""]}
)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("year > 1990", [False, True, False]),
        ("NOT year > 1990", [True, False, False]),
        ("year IS NULL OR item IN (1)", [True, False, True]),
        ("\"my col\" LIKE '%b%'", [True, True, False]),
        ("COALESCE(year, 0) BETWEEN -1 AND 1990", [True, False, True]),
        ("(item + 1) * 2 = 6 AND STARTS_WITH(LOWER(\"my col\"), 'b')", [False, True, False]),
        ("1 = 1", [True, True, True]),
        ("\"my col\" = 'it''s' OR CAST(item AS VARCHAR) = '3'", [False, False, True]),
        ("CASE WHEN year > 1990 THEN TRUE ELSE FALSE END", [False, True, False]),
        ("\"my col\" = 'SELECT'", [False, False, False]),
    ],
)
def test_expressions(expression, rows):
    assert holds(TABLE, expression).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ("yaer > 1990", "unknown column 'yaer' in where; did you mean 'year'? Allowed: item, year"),
        ("YEAR > 1990", "unknown column 'YEAR' in where; did you mean 'year'?"),
        ('"my col" = "b"', "unknown column 'b' in where; allowed: item, year, my col; texts stand"),
        ("year > 'x'", "where \"year > 'x'\": cannot compare string with numeric type"),
        ("year >", "where 'year >': it cannot be read as an expression of SQL"),
        ("year + 1", "it is neither true nor false; compare it with something"),
        ("year > 1990 item", "one condition is needed; AND and OR join several"),
        ("year > 1990; DROP x", "';' is not allowed here"),
        ("item IN (SELECT a FROM read_csv('log.csv'))", "SELECT is not allowed: there are no"),
        ("EXISTS (FROM read_csv('log.csv'))", "EXISTS is not allowed: there are no queries in it"),
        ("read_csv ('log.csv') = 1", "unknown function 'read_csv' in where; allowed: ABS, CEIL"),
        ("REPEAT(title, 1000000000) = ''", "unknown function 'REPEAT' in where"),
        ("avg(year) > 3", "unknown function 'avg' in where"),
        ("year > 1990 -- '", "comments are not allowed"),
        ("\"my col\" = E'x41'", "a blank is needed behind E"),
        ("year > 1990\nOR 1 = 1", r"'\n' is not allowed here"),
        ("title = $$x$$", "'$' is not allowed here"),
        ("(" * 400 + "year > 1" + ")" * 400, "it cannot be read as an expression of SQL"),
        ("x" * 1001, "where has 1,001 characters; allowed: up to 1,000"),
        (" ", 'where is an expression over the columns of the items, such as "year > 1990"; got'),
        (7, "got 7"),
    ],
)
def test_what_is_no_expression_is_one_line(expression, line):
    with pytest.raises(ConfigError) as told:
        holds(TABLE, expression)
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_each_user_may_have_limits_of_the_own(films):
    histories = {"a": [0, 3], "b": [0, 3], "c": []}
    usual = films.recommend_many(histories, 5)
    best = usual.items[0].tolist()
    pairs = [("a", best[0]), ("a", best[2]), ("z", best[1]), ("c", usual.items[2, 0]), ("b", 999)]
    frame = polars.DataFrame(pairs, schema=["user", "item"], orient="row")
    denied = films.recommend_many(histories, 4, deny=frame)
    expected = films.recommend([0, 3], 4, deny=[best[0], best[2]])
    assert denied.items[0].tolist() == ids(expected)
    assert denied.scores[0].tolist() == [each.score for each in expected]
    assert denied.items[1].tolist() == best[:4]
    assert denied.items[2].tolist() == usual.items[2, 1:].tolist()
    assert denied.unknown == (999,)
    # What a user has is left out too, unless that is asked for.
    seen = films.recommend_many(histories, FILMS, deny=frame, exclude_seen=False)
    assert {0, 3} < set(seen.items[0].tolist())
    assert not {best[0], best[2]} & set(seen.items[0].tolist())
    allowed = films.recommend_many(
        histories, 4, allow=pandas.DataFrame(frame.to_dict(as_series=False))
    )
    assert sorted(allowed.items[0].tolist()) == sorted([-1, -1, best[0], best[2]])
    assert allowed.counts.tolist() == [2, 0, 1]


# Scores


def test_boosts_and_less_popular_are_added(films):
    usual = {each.item: each.score for each in films.recommend([0, 3], FILMS)}
    popularity = np.maximum(films.run.items.popularity, 1)
    boost = [("made >= 2000", 0.5), ([41, "Film 1", 41, "gone"], -2.0)]
    found = films.recommend([0, 3], FILMS, boost=boost, less_popular=0.7)
    assert found.unknown == ("gone",)
    for each in found:
        added = 0.5 * (each.item >= 40) - 2.0 * (each.item in (1, 41))
        added -= 0.7 * np.log(popularity[each.item])
        assert each.score == pytest.approx(usual[each.item] + added, abs=1e-5)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert films.recommend([0, 3], 9, boost={"made > 3000": 5.0}) == films.recommend([0, 3], 9)


def test_at_most_so_many_of_each_group(films):
    """The list is the one that a walk down the whole ranking gives."""
    usual = films.recommend([0, 3], FILMS)
    counts = {}
    expected = []
    for each in usual:
        genres = [genre for genre in GENRES[each.item % 5].split("|") if genre]
        if all(counts.get(genre, 0) < 2 for genre in genres):
            expected.append(each)
            for genre in genres:
                counts[genre] = counts.get(genre, 0) + 1
    assert films.recommend([0, 3], 40, at_most=2, per="genre") == expected
    assert len(expected) < 40  # of the 12 films without a genre there may be any number
    by_year = films.recommend([0, 3], 4, at_most=1, per="made")
    assert by_year == usual[:4]


def test_candidates_grow_until_the_groups_are_full():
    """200 users' items of one group stand before all others: four times as many are looked at."""
    ranked = np.arange(1000)
    groups = Groups.of([("same",) if item < 300 else (item,) for item in ranked.tolist()])
    asked = []

    def rank(count):
        asked.append(count)
        scores = -np.arange(count, dtype=np.float32)
        return np.stack([ranked[:count], ranked[:count][::-1]]), np.stack([scores, scores])

    spread = Spread(at_most=1, groups=groups)
    items, scores = best_spread(rank, 1000, 3, spread, np.zeros((1000, 2), np.float32))
    assert items[0].tolist() == [0, 300, 301]
    assert scores[0].tolist() == [0, -300, -301]
    assert asked == [100, 400]


def test_diversity_is_maximal_marginal_relevance():
    """Against the formula of Carbonell and Goldstein, written out."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(50, 4)).astype(np.float32)
    items = rng.permutation(50)[:20]
    scores = np.sort(rng.normal(size=20).astype(np.float32))[::-1]
    groups = Groups.of([(item % 4,) for item in range(50)])
    for trade, at_most in ((0.3, None), (0.7, 2), (1.0, None)):
        own_groups = groups if at_most else None
        spread = Spread(trade, at_most, "x", own_groups)
        unit = vectors.astype(np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        relevance = (scores - scores[-1]).astype(np.float64) / float(scores[0] - scores[-1])
        chosen = []
        while len(chosen) < 6:
            best, best_gain = None, -np.inf
            for place, item in enumerate(items.tolist()):
                full = at_most and sum(items[c] % 4 == item % 4 for c in chosen) >= at_most
                if place in chosen or full:
                    continue
                nearest = max((unit[item] @ unit[items[c]] for c in chosen), default=0.0)
                gain = (1 - trade) * relevance[place] - trade * nearest
                if gain > best_gain:
                    best, best_gain = place, gain
            chosen.append(best)
        assert spread.choose(items, scores, 6, vectors).tolist() == chosen
    assert Spread(0.0).choose(items, scores, 3, vectors).tolist() == [0, 1, 2]


def test_cosines_do_not_hang_on_what_stands_beside():
    torch.manual_seed(0)
    vectors = torch.randn(30, 7).numpy()
    directions = rerank.directions_of(vectors)
    whole = directions @ directions.T
    few = rerank.directions_of(vectors[4:9])
    assert np.array_equal(few @ few[2], whole[4:9, 6])
    assert rerank.likeness(vectors[:1]) is None
    assert rerank.likeness(vectors[:2]) == pytest.approx(whole[0, 1])


def test_diverse_lists_are_less_alike(films):
    by_score = films.recommend([0, 3], 8)
    diverse = films.recommend([0, 3], 8, diversity=0.8)
    assert diverse[0] == by_score[0]
    assert films.likeness(ids(diverse)) < films.likeness(ids(by_score))


# Probabilities


def test_shares_are_those_of_a_softmax_over_what_is_not_had():
    scores = np.array([[1.0, 2.0, -np.inf, 0.5], [3.0, -np.inf, -np.inf, 3.0]], np.float32)
    shares = np.exp(calibration.log_shares(scores))
    weights = np.exp(scores[0].astype(float))
    assert np.allclose(shares[0], weights / weights.sum())
    assert shares[1].tolist() == pytest.approx([0.5, 0, 0, 0.5])


def test_probabilities_are_those_of_the_truth():
    """Scores in any order for each user, and what comes next drawn by a softmax of half of them:
    its probabilities come back, and groups of test users meet them.
    """
    rng = np.random.default_rng(0)
    count, width = 6000, 40
    values = np.linspace(-6, 6, width)
    truth = np.exp(values / 2) / np.exp(values / 2).sum()
    order = rng.permuted(np.tile(np.arange(width), (count, 1)), axis=1)
    drawn = rng.choice(width, count, p=truth)
    targets = csr_matrix((order == drawn[:, None]).astype(np.float32))
    users = np.arange(count)
    schema = Schema((width,), "interactions", 2, 0.0, 1.0)
    everybody = History(schema, targets * 0, targets, users, users, 2)
    score = lambda some: values[order[some.users]].astype(np.float32)  # noqa: E731
    halves = everybody.take(slice(0, 3000)), everybody.take(slice(3000, count))
    fitted = calibration.fit_calibration(score, *halves)
    shares = values - np.log(np.exp(values).sum())
    assert np.allclose(fitted(shares), truth, atol=0.02)
    assert fitted(shares).sum() == pytest.approx(1)
    facts = fitted.facts
    assert (facts["users"], facts["test_users"]) == (3000, 3000)
    assert facts["error"] < 0.004
    assert facts["next"] == pytest.approx((drawn[3000:] >= 20).mean() / 20)
    assert facts["probability"] == pytest.approx(facts["next"], abs=0.002)
    assert sum(group["items"] for group in facts["table"]) == 20 * 3000
    # A wrong map is told from a right one.
    wrong = calibration.Calibration(fitted.knots, fitted.values / 2, {})
    assert calibration.measure(wrong, score, halves[1])["error"] > 0.02


def test_probabilities_of_a_run_are_kept(films, folder, command):
    items = ids(films.recommend([0, 3], 5))
    with pytest.raises(DataError, match="need 20 validation users with held-out items, got 9"):
        films.probabilities([0, 3], items)
    assert not (folder / "calibration.json").exists()
    data = films.run.data()
    both = History(
        data.schema,
        vstack([data.validation.matrix] * 3, format="csr"),
        vstack([data.validation.targets] * 3, format="csr"),
        np.arange(27),
        np.arange(27),
        2,
    )
    films.run.looked_at = dataclasses.replace(data, validation=both)
    found = films.probabilities([0, 3], [*items, 0])
    films.run.looked_at = None
    assert found[-1] == 0  # the history holds it
    assert sorted(found[:-1], reverse=True) == found[:-1]
    assert all(0 <= probability <= 1 for probability in found)
    again = asked(command, folder, "--history", "0", "3", "-k", 5, "--probabilities")
    assert [line["probability"] for line in again["items"]] == found[:-1]
    assert again["calibration"]["users"] == 27
    lines = command("recommend", folder, "--history", "0", "--probabilities")[1].splitlines()
    assert lines[0].split()[-1] == "probability"
    assert lines[-1].startswith("probability that the next interaction is with the item; calibrat")
    section = probabilities(films.run, None)
    assert len(section.tables[0].rows) == 10
    assert section.sentences == (f"{films.calibration.sentence}.",)
    kept = (folder / "calibration.json").read_text()
    for damage in ('"knots": "x"', '"values": [2.0]', '"facts": 3'):
        name = damage.split(":")[0]
        (folder / "calibration.json").write_text(kept.replace(name, damage + ', "old"'))
        code, _, err = command("recommend", folder, "--history", "0", "--probabilities")
        assert (code, err.count("\n")) == (2, 1)
        assert "calibration.json holds no calibration" in err
    (folder / "calibration.json").unlink()
    assert probabilities(films.run, None) is None


# Mistakes


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (lambda r: r.history_of("u700"), "no user 'u700' among the 90 of"),
        (lambda r: r.history_of("u700"), "did you mean 'u70'"),
        (
            lambda r: r.users_of(polars.DataFrame({"user": [1], "item": [3]}), half_life=3),
            "has no times, which half_life needs; data.interactions.timestamp names their column",
        ),
        (lambda r: r.history_of("u7", half_life=0), "half_life must be a number of days above 0"),
        (lambda r: r.similar_users([]), "the history is empty"),
        (lambda r: r.similar_users([3], 0), "k must be a whole number from 1, got 0"),
        (lambda r: r.explain([], [3]), "the history is empty"),
        (
            lambda r: r.recommend([3], where="genre = 'Western'"),
            "allow, deny and where \"genre = 'Western'\" leave none of the items",
        ),
        (lambda r: r.recommend([3], boost={"made": 1}), "boost 'made': it is neither true nor"),
        (lambda r: r.recommend([3], boost={"made > 0": "a"}), "a boost must be a number from"),
        (lambda r: r.recommend([3], boost={"made > 0": np.nan}), "to 10000, got nan"),
        (lambda r: r.recommend([3], less_popular=-1), "less_popular must be a number from 0 to"),
        (lambda r: r.recommend([3], diversity=1.5), "diversity must be a number from 0 to 1, got"),
        (lambda r: r.recommend([3], at_most=2), "at_most=N and per=COLUMN go together"),
        (lambda r: r.recommend([3], per="genre"), "at_most=N and per=COLUMN go together"),
        (lambda r: r.recommend([3], at_most=0, per="genre"), "at_most must be a whole number from"),
        (
            lambda r: r.recommend([3], at_most=1, per="gnre"),
            "unknown column 'gnre' in per; did you mean 'genre'? Allowed: item, title, genres, pop",
        ),
        (
            lambda r: r.recommend([3], deny=polars.DataFrame({"user": [1], "item": [1]})),
            "deny of one user is a list of items; a frame of user and item goes with recommend_m",
        ),
        (
            lambda r: r.recommend_many({1: [3]}, deny=polars.DataFrame({"user": [1], "x": [1]})),
            "deny as a frame needs the columns user and item, got: user, x",
        ),
    ],
)
def test_a_mistake_is_one_line(films, act, line):
    with pytest.raises((ConfigError, DataError)) as told:
        act(films)
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_a_wish_that_is_none(films):
    with pytest.raises(TypeError, match="alow"):
        films.recommend([3], alow=[4])
    with pytest.raises(ConfigError, match="nothing_known must be one of popular, nothing"):
        Recommender(films.run, nothing_known="x")


# The command


def asked(command, folder, *arguments):
    code, out, err = command("recommend", folder, *arguments, "--json")
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def test_command_for_users_with_reasons(command, folder, films):
    found = asked(command, folder, "--user", "u7", "-k", 3, "--explain")
    expected = films.recommend(films.history_of("u7"), 3)
    assert found["user"] == "u7"
    assert found["popular"] is False
    assert [item["item"] for item in found["items"]] == ids(expected)
    reasons = films.explain(films.history_of("u7"), ids(expected), most=3)
    for item, because in zip(found["items"], reasons, strict=True):
        assert [tuple(reason.values()) for reason in item["because"]] == because
    several = asked(command, folder, "--user", "u7", "u2", "-k", 3)["users"]
    assert [each["user"] for each in several] == ["u7", "u2"]
    lines = command("recommend", folder, "--user", "u7", "u2", "-k", 3, "--explain")[1].splitlines()
    assert lines[0] == "user u7"
    assert lines.count("user u2") == 1
    first = reasons[0][0]
    assert lines[3].startswith(f"      because you liked {first.title} ({first.share:.2f})")
    popular = command("recommend", folder, "--history", "gone", "--explain")[1].splitlines()
    assert popular[-1] == "nothing is known of the user: these are the most popular items"
    assert popular[-2].startswith("1 item was left out: no item 'gone'")
    assert not any("because" in line for line in popular)


def test_command_similar_users(command, folder, films):
    found = asked(command, folder, "--user", "u7", "--similar-users", "-k", 2)
    expected = films.similar_users(films.history_of("u7"), 2)
    assert [each["user"] for each in found["similar_users"]] == [each.user for each in expected]
    assert found["searched"] == 90
    lines = command("recommend", folder, "--history", "Film 3", "--similar-users", "-k", 2)[1]
    assert lines.startswith("the most similar of 90 users, by the cosine of their codes\n   1  u")


def test_command_with_wishes(command, folder, films):
    wishes = ["--history", "0", "3", "--where", "made > 1965", "--boost", "made < 1990", "-0.5"]
    wishes += ["--boost", "Film 50", "2", "--less-popular", "0.3", "--at-most", "3", "--per"]
    wishes += ["genre", "--diversity", "0.4", "-k", 6]
    found = asked(command, folder, *wishes)
    expected = films.recommend(
        [0, 3],
        6,
        where="made > 1965",
        boost=[("made < 1990", -0.5), ([50], 2)],
        less_popular=0.3,
        at_most=3,
        per="genre",
        diversity=0.4,
    )
    assert [item["item"] for item in found["items"]] == ids(expected)
    assert [item["score"] for item in found["items"]] == [each.score for each in expected]
    trade = found["diversity"]
    assert trade["candidates"] == 100
    assert trade["likeness"] == films.likeness(ids(expected))
    assert trade["score"] <= trade["score_by_score"]
    last = command("recommend", folder, *wishes)[1].splitlines()[-1]
    assert last.startswith("diversity 0.4, among the 100 best: the mean cosine between two items")


def test_command_for_many_with_limits_of_each(command, folder, tmp_path, films):
    best = ids(films.recommend(films.history_of("u7"), 2))
    (tmp_path / "not.csv").write_text(f"user;item\nu7;{best[0]}\nnobody;1\n")
    out = tmp_path / "lists.parquet"
    arguments = ["--user", "u7", "u2", "--deny-file", tmp_path / "not.csv", "--out", out, "-k", 1]
    assert asked(command, folder, *arguments)["rows"] == 2
    frame = polars.read_parquet(out)
    assert frame["user"].to_list() == ["u7", "u2"]
    assert frame["item"][0] == best[1]
    log = folder.parent / "log.csv"
    arguments = ["--users", log, "--half-life", "2", "--out", out, "-k", 5]
    assert asked(command, folder, *arguments)["users"] == 90
    own = polars.read_parquet(out).filter(user="u7")
    assert own["item"].to_list() == ids(films.recommend(films.history_of("u7", half_life=2), 5))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--user", "u700"], "no user 'u700' among the 90 of"),
        (["--user", "u7", "--history", "3"], "recommend needs one of"),
        (["--user", "u7", "u2", "--similar-users"], "--similar-users takes one user, got 2"),
        (["--similar", "3", "--explain"], "--explain goes with --history, or with --user and no"),
        (["--similar", "3", "--per", "genre"], "--per goes with recommendations; --similar takes"),
        (
            ["--history", "3", "--similar-users", "--where", "x"],
            "--where goes with recommendations; --similar-users takes no wishes on items",
        ),
        (
            ["--users", "x.csv", "--out", "a", "--shards", "2", "--deny-file", "x.csv"],
            "--deny-file does not go with --engine and --shards",
        ),
        (["--history", "3", "--data", "x.csv"], "--data goes with --user and --similar-users"),
        (["--history", "3", "--half-life", "3"], "--half-life goes with --user and --users"),
        (["--history", "3", "--deny-file", "x.csv"], "--deny-file goes with --out, for the lists"),
        (["--history", "3", "--features", "x.csv"], "--features goes with --users and --user"),
        (["--history", "3", "--boost", "made > 0"], '--boost takes pairs, such as "year > 1990"'),
        (["--history", "3", "--boost", "made > 0", "x"], "got 'x' for the number of nats"),
        (["--history", "3", "--where", "mad > 0"], "unknown column 'mad' in where; did you mean"),
        (
            ["--user", "u7", "--out", "a.csv", "--deny-file", "no.csv"],
            "--deny-file=no.csv: there is no such file",
        ),
        (
            ["--user", "u7", "--out", "a.csv", "--deny", "3", "--deny-file", "no.csv"],
            "--deny and --deny-file exclude each other",
        ),
    ],
)
def test_a_mistake_in_the_command(command, folder, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("recommend", folder, *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
