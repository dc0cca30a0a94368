"""Recommending: the same lists alone and in any batch, those of the plain model, names of items,
limits, and the command.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import lowerbound
from lowerbound.baselines import Ease, Elsa, GraphFilter
from lowerbound.baselines.partner import Partner
from lowerbound.cli.list_options import repeat_list_options
from lowerbound.data import Data, History, Items, Schema
from lowerbound.errors import ConfigError, DataError
from lowerbound.evaluation.ranking import top_k
from lowerbound.families import Bernoulli, Multinomial, Normal
from lowerbound.model import Architecture
from lowerbound.networks import MLP, DenseMLP
from lowerbound.noise import Dropout, L2Normalize
from lowerbound.recipe import Recipe, parse
from lowerbound.recommend import Catalogue, Recommender, bounds, exact, near
from lowerbound.run import Run
from lowerbound.sparse import SparseRows
from lowerbound.specs.registry import describe

WIDTH, K = 1003, 20
NOISE = (L2Normalize(), Dropout())

MODELS = {
    "multinomial": Architecture(
        latent=(30,),
        network=MLP((70,), "tanh"),
        likelihood=Multinomial(),
        noise=(L2Normalize(), Dropout()),
    ),
    "bernoulli": Architecture(latent=(8,), network=MLP((50, 20), "relu"), likelihood=Bernoulli()),
    "normal": Architecture(
        latent=(16,), network=MLP((33,), "gelu"), likelihood=Normal(variance="shared")
    ),
    "deep": Architecture(
        latent=(3, 2), network=MLP((64, 40, 21), "silu"), likelihood=Multinomial(), noise=NOISE
    ),
    "separate": Architecture(
        latent=(12,), network=MLP((40,), "sigmoid"), likelihood=Multinomial(), heads="separate"
    ),
    "tied": Architecture(
        latent=(10,), network=MLP((40,), "tanh"), decoder_network="tied", likelihood=Multinomial()
    ),
    "dense": Architecture(
        latent=(10,),
        network=DenseMLP(48, 3),
        decoder_network=MLP((), "tanh"),
        likelihood=Multinomial(),
    ),
    "linear": Architecture(latent=(9,), network=MLP(()), likelihood=Normal(variance=0.5)),
}


def made(architecture, width=WIDTH, levels=2, ids=None, titles=None):
    """A run with random weights and a bias that grows with popularity, in no folder."""
    torch.manual_seed(1)
    model = architecture.build((width,), sparse=True)
    with torch.no_grad():
        exact.last_layer(model).bias.copy_(-torch.log1p(torch.arange(width) / 50))
    recipe = Recipe(data=Data("nowhere"), model=architecture)
    items = Items(np.arange(width) if ids is None else ids, titles)
    return Run(
        Path("nowhere"),
        recipe,
        Schema((width,), "interactions", levels, 0.0, 1.0),
        model,
        {},
        items,
    )


def histories(users, width=WIDTH, seed=0, most=60):
    """Random histories (users, width) of 1 to `most` items."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most + 1, users)
    rows = [np.sort(rng.choice(width, n, replace=False)) for n in counts]
    entries = np.ones(counts.sum(), np.float32), np.concatenate(rows), np.r_[0, np.cumsum(counts)]
    return csr_matrix(entries, shape=(users, width))


def plain(run, matrix, k):
    """The ranking of the model itself: scores, and the first k of a stable sort without what was
    seen.
    """
    with torch.no_grad():
        scores = run.model.item_scores(SparseRows.of(matrix))
    scores[torch.from_numpy(matrix.toarray() > 0)] = -torch.inf
    return scores, top_k(scores, k)


PARTNERS = {
    "ease": Ease(l2=20.0),
    "graph": GraphFilter(rank=24, scale=0.5),
    "elsa": Elsa(factors=40, epochs=2, batch_size=100),
}


def blended(name, weight=3.0):
    """A run with random weights beside a linear method."""
    run = made(MODELS["multinomial"])
    method = PARTNERS[name]
    run.model.partner = Partner(describe(method), method.fit(histories(300, seed=9)), weight)
    return run


@pytest.fixture(scope="module", params=[*MODELS, *PARTNERS, "deep, by bounds", "graph, by bounds"])
def recommender(request):
    name, _, way = request.param.partition(", ")
    run = blended(name) if name in PARTNERS else made(MODELS[name])
    with pytest.MonkeyPatch.context() as patched:
        if way:
            patched.setattr(bounds, "SMALL_TABLE", 0)
        made_of_it = Recommender(run)
    assert made_of_it._ranker.is_small == (not way)
    return made_of_it


@pytest.mark.parametrize("name", PARTNERS)
def test_bounds_of_a_blend_are_above(name, monkeypatch):
    """Above every exact score, and nearer than the scores are to each other."""
    monkeypatch.setattr(bounds, "SMALL_TABLE", 0)
    ranker = Recommender(blended(name))._ranker
    scores = ranker.scores(SparseRows.of(histories(50, seed=4)), None)
    exact_scores = scores.all()
    upper = scores.upper()
    assert (scores.margin(upper) > exact_scores).all()
    assert (upper - exact_scores).mean() < 0.2 * exact_scores.std()
    columns = torch.arange(WIDTH).expand(50, -1)
    assert torch.equal(scores.exact(columns), exact_scores)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=40))
def test_the_steady_logarithm(values):
    found = exact.steady_log(torch.tensor(values, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, np.log(values), rtol=1e-13, atol=1e-15)
    alone = [exact.steady_log(torch.tensor([each], dtype=torch.float64)).item() for each in values]
    assert found.tolist() == alone


def test_alone_and_among_a_thousand(recommender):
    """Bit for bit, at the places in the batch where the blocks, tiles and threads begin and end."""
    matrix = histories(1000)
    many = recommender.recommend_many(matrix, K)
    for row in (0, 1, 7, 31, 52, 53, 54, 255, 511, 512, 513, 998, 999):
        alone = recommender.recommend(matrix[row].indices.tolist(), K)
        assert [r.item for r in alone] == many.items[row].tolist()
        assert [r.score for r in alone] == many.scores[row].tolist()
    turned = recommender.recommend_many(matrix[::-1], K)
    assert np.array_equal(turned.items[::-1], many.items)
    assert np.array_equal(turned.scores[::-1], many.scores)


def test_threads_change_nothing(recommender):
    before, matrix = torch.get_num_threads(), histories(300, seed=3)
    found = recommender.recommend_many(matrix, K)
    torch.set_num_threads(3 - min(before, 2))
    try:
        other = recommender.recommend_many(matrix, K)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found.items, other.items)
    assert np.array_equal(found.scores, other.scores)


def test_the_ranking_is_that_of_the_model(recommender):
    matrix = histories(200, seed=1)
    found = recommender.recommend_many(matrix, K)
    scores, best = plain(recommender.run, matrix, K)
    assert np.allclose(found.scores, best.values, rtol=1e-5, atol=2e-6)
    assert np.allclose(
        scores.gather(1, torch.from_numpy(found.items)), found.scores, rtol=1e-5, atol=2e-6
    )
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert (
        found.items == best.indices.numpy()
    ).mean() > 0.99  # apart from ties within the rounding


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_histories(data):
    """Online equals offline, whatever the histories, k, and what else is asked for; weights too."""
    run = ANY
    users = data.draw(st.integers(1, 40))
    matrix = histories(
        users,
        seed=data.draw(st.integers(0, 2**32 - 1)),
        most=data.draw(st.sampled_from([1, 5, 400])),
    )
    matrix.data[:] = np.random.default_rng(users).choice([0.25, 1, 3], len(matrix.data))
    k = data.draw(st.sampled_from([1, 3, 50, 600]))
    options = {
        "exclude_seen": data.draw(st.booleans()),
        "deny": data.draw(st.lists(st.integers(0, WIDTH - 1), max_size=3)),
    }
    many = run.recommend_many(matrix, k, **options)
    row = data.draw(st.integers(0, users - 1))
    alone = run.recommend(
        dict(zip(matrix[row].indices.tolist(), matrix[row].data.tolist(), strict=True)),
        k,
        **options,
    )
    assert [r.item for r in alone] == [i for i in many.items[row].tolist() if i >= 0]
    assert [r.score for r in alone] == many.scores[row][: len(alone)].tolist()


ANY = Recommender(made(MODELS["multinomial"], levels=None))


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_wishes(data):
    """Alone as among others, whatever is added to the scores and however lists are spread; the
    scores are the exact ones with what is added, in a table of any size.
    """
    asked = data.draw(st.sampled_from(GROUPED))
    amounts = st.floats(-20, 20)
    wishes = {
        "boost": [
            (data.draw(st.lists(st.integers(0, WIDTH - 1), max_size=40)), data.draw(amounts)),
            (f"item % {data.draw(st.integers(2, 9))} = 1", data.draw(amounts)),
        ],
        "diversity": data.draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
    }
    if data.draw(st.booleans()):
        wishes |= {"at_most": data.draw(st.integers(1, 3)), "per": "kind"}
    users = data.draw(st.integers(1, 5))
    matrix = histories(users, seed=data.draw(st.integers(0, 2**32 - 1)))
    k = data.draw(st.sampled_from([1, 7, 30]))
    many = asked.recommend_many(matrix, k, **wishes)
    row = data.draw(st.integers(0, users - 1))
    alone = asked.recommend(matrix[row].indices.tolist(), k, **wishes)
    assert [r.item for r in alone] == [i for i in many.items[row].tolist() if i >= 0]
    assert [r.score for r in alone] == many.scores[row][: len(alone)].tolist()
    if wishes["diversity"] or "per" in wishes:
        return
    scores = asked._ranker.scores(SparseRows.of(matrix[row]), None).all()
    added = asked._wishes.read(**wishes).addend
    if added is not None:
        scores = scores + added
    scores[0, torch.from_numpy(matrix[row].indices).long()] = -torch.inf
    best = top_k(scores, k)
    assert [r.item for r in alone] == best.indices[0].tolist()
    assert [r.score for r in alone] == best.values[0].tolist()


def grouped(run, by_bounds=False):
    """A recommender whose items have a column of groups; one whose table is not small finds what to
    score by bounds.
    """
    kinds = polars.DataFrame({"kind": [f"{i % 5}|{i % 7}" for i in range(WIDTH)]})
    run.items = dataclasses.replace(run.items, features=kinds)
    with pytest.MonkeyPatch.context() as patched:
        if by_bounds:
            patched.setattr(bounds, "SMALL_TABLE", 0)
        return Recommender(run)


GROUPED = [
    grouped(made(MODELS["multinomial"])),
    grouped(made(MODELS["multinomial"]), by_bounds=True),
    grouped(blended("graph"), by_bounds=True),
]


def test_what_cannot_be_proven_is_scored_in_full():
    """Items of the same vector and bias: every bound is the same, and the lower column wins."""
    run = made(MODELS["multinomial"])
    last = exact.last_layer(run.model)
    with torch.no_grad():
        last.weight.copy_(last.weight[:1].expand_as(last.weight))
        last.bias.fill_(0.3)
    found = Recommender(run).recommend_many(histories(40), 30, exclude_seen=False)
    assert (found.items == np.arange(30)).all()


@pytest.mark.parametrize("name", ["multinomial", "normal"])
def test_bounds_are_above(name):
    """The bounds that prove a list: above every exact score, and near it."""
    layer = exact.last_layer(made(MODELS[name]).model)
    table = bounds.ItemTable(layer.weight, layer.bias)
    terms = table.weight.shape[1]
    h = exact.on_grid(torch.randn(40, terms).double(), terms)
    for rows in (h, h[:1]):
        scores, upper = table.all(rows), table.upper(rows)
        assert (table.margin(upper) > scores).all()
        assert (table.margin(upper) - scores).mean() < 0.1 * scores.std()


def test_sums_on_the_grid_have_no_order():
    torch.manual_seed(0)
    a, b = (exact.on_grid(torch.randn(5, 1001).double() * 10**s, 1001) for s in (3, -5))
    order = torch.randperm(1001)
    assert torch.equal(a @ b.T, a[:, order] @ b[:, order].T)
    assert torch.equal(a @ b.T, (a.unsqueeze(1) * b).flip(2).cumsum(2)[..., -1])
    assert exact.on_grid(torch.zeros(1, 4).double(), 4).eq(0).all()


def test_seen_allowed_and_denied():
    run = ANY
    history = [3, 4, 5]
    usual = [r.item for r in run.recommend(history, 50)]
    assert not set(usual) & set(history)
    assert set(history) & {
        r.item for r in run.recommend(history, WIDTH, exclude_seen=False)
    } == set(history)
    assert [r.item for r in run.recommend(history, 10, deny=usual[:5])] == usual[5:15]
    assert [
        r.item for r in run.recommend(history, 3, allow=[usual[30], usual[7], usual[20], 3])
    ] == [usual[i] for i in (7, 20, 30)]
    many = run.recommend_many({"a": history}, 2, allow=usual[:4], deny=usual[:1])
    assert many.items.tolist() == [usual[1:3]]


def test_fewer_rows_where_nothing_is_left():
    assert len(ANY.recommend([1, 2], 3, allow=[1, 2, 9])) == 1
    many = ANY.recommend_many({"a": [1, 2], "b": [5], "c": [1, 2, 9], "d": []}, 3, allow=[1, 2, 9])
    assert many.counts.tolist() == [1, 3, 0, 0]
    frame = many.to_frame()
    assert frame.columns == ["user", "rank", "item", "score"]
    assert frame["user"].to_list() == ["a", "b", "b", "b"]
    assert frame["rank"].to_list() == [1, 1, 2, 3]
    assert frame["score"].is_finite().all()


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (lambda r: r.recommend([]), "the history is empty"),
        (lambda r: r.recommend("Fargo"), "a history is a list of items, got the text 'Fargo'"),
        (lambda r: r.recommend(7), "a history is a list of items, got int"),
        (lambda r: r.recommend([1, 2], 1, allow=[1, 2]), "nothing is left to recommend"),
        (lambda r: r.recommend([1], 0), "k must be a whole number from 1, got 0"),
        (lambda r: r.recommend([1], True), "k must be a whole number from 1, got True"),
        (
            lambda r: r.recommend([1], allow=["x;y"]),
            "allow and deny leave none of the items; no item 'x;y'",
        ),
        (lambda r: r.recommend({1: -1.0}), "weights of a history must be numbers above 0, got -1"),
        (
            lambda r: r.recommend({1: float("nan")}),
            "weights of a history must be numbers above 0, got nan",
        ),
        (lambda r: r.recommend([WIDTH]), f"no item '{WIDTH}'"),
        (
            lambda r: r.recommend([WIDTH, "x", None]),
            f"no item '{WIDTH}' among the {WIDTH} of this run, neither by id nor by title",
        ),
        (lambda r: r.recommend([WIDTH, "x"]), "(nor is one of the other 1 of the history known)"),
        (lambda r: r.recommend_many({"a": [WIDTH]}), f"is known, such as {WIDTH}"),
        (lambda r: r.similar(WIDTH), f"no item '{WIDTH}'"),
        (lambda r: r.recommend_many([[1, 2]]), "histories are a SciPy matrix"),
        (lambda r: r.recommend_many(csr_matrix((2, WIDTH))), "all 2 histories are empty"),
        (
            lambda r: r.recommend_many(csr_matrix((2, 7))),
            f"one column for each of the {WIDTH} items, got 7",
        ),
        (
            lambda r: r.recommend_many(polars.DataFrame({"user": [1], "thing": [1]})),
            "needs the columns user and item",
        ),
        (
            lambda r: r.recommend_many(polars.DataFrame({"user": [1], "item": [None]})),
            "a user and an item in every row",
        ),
        (lambda r: r.recommend({1: "x"}), "weights of a history must be real numbers"),
        (lambda r: r.recommend({1: 1j}), "weights of a history must be real numbers"),
        (lambda r: r.recommend({1: 1e39}), "weights of a history must be numbers above 0, got inf"),
        (
            lambda r: r.codes(csr_matrix(np.eye(2, WIDTH) * 1j)),
            "must be real numbers, got complex128",
        ),
        (lambda r: r.codes({}), "there are no histories"),
        (lambda r: r.codes(csr_matrix((0, WIDTH))), "there are no histories"),
        (lambda r: r.similar(3, 0), "k must be a whole number from 1, got 0"),
    ],
)
def test_a_mistake_is_one_line(act, line):
    with pytest.raises((ConfigError, DataError)) as told:
        act(ANY)
    assert line in str(told.value)
    assert "\n" not in str(told.value)


UNKNOWN = [WIDTH, "new", None, float("nan")]


def test_unknown_items_are_left_out_and_told_of():
    """The lists are those of the known items alone, by every door."""
    usual = ANY.recommend([3, 4], 5)
    assert usual.unknown == ()
    found = ANY.recommend([3, WIDTH, "new", 4, "new"], 5)
    assert found == usual
    assert found.unknown == (WIDTH, "new")
    assert ANY.recommend({3: 1.0, "new": 7.0, 4: 1.0}, 5) == usual
    many = ANY.recommend_many({"a": [3, 4, *UNKNOWN], "b": [7], "c": ["new"]}, 5)
    assert many.items[0].tolist() == [one.item for one in usual]
    assert many.counts.tolist() == [5, 5, 0]
    assert [str(one) for one in many.unknown] == [str(WIDTH), "new", "None", "nan"]
    rows = polars.DataFrame({"user": ["a", "a", "a", "b"], "item": ["3", "4", "new", "7"]})
    for frame in (rows, rows.lazy(), rows.rename({"item": "Item-ID"})):
        other = ANY.recommend_many(frame, 5)
        assert np.array_equal(other.items, many.items[:2])
        assert other.unknown == ("new",)


def test_unknown_items_in_limits():
    usual = ANY.recommend([3], 5)
    found = ANY.recommend([3], 5, deny=["new"])
    assert (found, found.unknown) == (usual, ("new",))
    allowed = ANY.recommend([3], 5, allow=["new", usual[2].item])
    assert (allowed, allowed.unknown) == ([usual[2]], ("new",))
    assert ANY.similar(3, 2, deny=["new"]).unknown == ("new",)


def test_unknown_items_may_be_an_error():
    strict = Recommender(ANY.run, unknown="error")
    for act in (
        lambda: strict.recommend([3, "new"]),
        lambda: strict.recommend_many({"a": [3], "b": ["new"]}),
        lambda: strict.recommend([3], deny=["new"]),
    ):
        with pytest.raises(DataError, match="no item 'new'"):
            act()
    assert strict.recommend([3, 4], 5) == ANY.recommend([3, 4], 5)
    with pytest.raises(ConfigError, match="unknown must be one of leave-out, error, got 'warn'"):
        Recommender(ANY.run, unknown="warn")


def test_there_are_fewer_than_k_where_no_more_are_left():
    assert len(ANY.recommend([1], 10, allow=[1, 2, 3])) == 2
    assert len(ANY.recommend([1], 10**15, deny=[2])) == WIDTH - 2
    many = ANY.recommend_many({"a": [1], "b": [4]}, 10, allow=[1, 2, 3])
    assert many.items.shape == (2, 3)
    assert many.counts.tolist() == [2, 3]
    assert len(ANY.similar(3, 10**15)) == WIDTH - 1


def test_one_id_in_any_type():
    """1, 1.0, "1", " 1" and NumPy's numbers are one item; 01 is another."""
    usual = ANY.recommend([1, 2], 5)
    for history in (
        [1.0, 2.0],
        ["1", "2"],
        [" 1", "2 "],
        ["1.0", "2.00"],
        [np.int16(1), np.float32(2)],
        np.array([1, 2], np.uint8),
    ):
        assert ANY.recommend(history, 5) == usual
    assert ANY.recommend([1, 2, "01"], 5).unknown == ("01",)
    typed = {
        "category": polars.Series(["1", "2"], dtype=polars.Categorical),
        "real": polars.Series([1.0, 2.0]),
        "small": polars.Series([1, 2], dtype=polars.UInt8),
        "text": polars.Series(["1 ", "2.0"]),
    }
    for items in typed.values():
        many = ANY.recommend_many(polars.DataFrame({"user": [7, 7], "item": items}), 5)
        assert many.items[0].tolist() == [one.item for one in usual]


def test_an_accent_is_the_same_however_it_is_encoded():
    composed, apart = "Am\u00e9lie", "Ame\u0301lie"
    for known, asked in ((composed, apart), (apart, composed)):
        by_title = Catalogue(Items(np.array([3, 5]), ["Fargo", known]))
        by_id = Catalogue(Items(np.array(["Fargo", known], dtype=object)))
        for name in (asked, f" {asked} "):
            assert by_title.column(name) == by_id.column(name) == 1
        assert by_title.column(asked.upper()) == 1


def test_weights_where_there_are_none():
    binary = Recommender(made(MODELS["linear"]))
    with pytest.raises(DataError, match="count 1 each, got a weight of 2"):
        binary.recommend({1: 2.0})
    assert binary.recommend([1, 1, 2]) == binary.recommend([2, 1])


def test_a_run_on_images_recommends_nothing():
    model = Architecture(latent=(2,), network=MLP((5,))).build((4,))
    run = Run(
        Path("nowhere"),
        Recipe(data=Data("nowhere")),
        Schema((4,), "vector", None, 0.0, 1.0),
        model,
        {},
    )
    with pytest.raises(ConfigError, match="only a run on interactions recommends"):
        Recommender(run)


# Names


TITLES = ["Fargo (1996)", "Toy Story (1995)", "Alien", "alien", "Heat", "Heat", "12"]


def test_items_by_id_and_title():
    catalogue = Catalogue(Items(np.array([3, 5, 8, 9, 11, 12, 40]), TITLES))
    asked = [5, "5", np.int64(5), "Fargo (1996)", "toy STORY (1995)", "Alien", "alien", "12", 12]
    assert catalogue.columns(asked).tolist() == [1, 1, 1, 0, 1, 2, 3, 5, 5]
    with pytest.raises(DataError, match="2 items are called 'Heat'; take one by its id: 11, 12"):
        catalogue.column("Heat")
    with pytest.raises(DataError, match="2 items are called 'ALIEN'; take one by its id: 8, 9"):
        catalogue.column("ALIEN")
    with pytest.raises(
        DataError, match=r"no item 'Fargo' among .*; did you mean 'Fargo \(1996\)'\?"
    ):
        catalogue.column("Fargo")
    texts = Catalogue(Items(np.array(["a1", "b2"], dtype=object)))
    assert texts.column("b2") == 1
    assert texts.title(1) is None


def test_the_nearest_of_very_many_titles():
    names = [f"title {i} of a {i % 977} long catalogue ({1900 + i % 120})" for i in range(20_000)]
    assert near("Tilte 12345 of a 621 long cataloge (2005)", names)[0] == names[12345]
    assert near("zzzz", ["Fargo"]) == []


@pytest.fixture(scope="module")
def synthetic_titles():
    """40,000 titles of random words with a year, and one that is known, in their midst."""
    rng = np.random.default_rng(0)
    consonants, vowels = list("bcdfghklmnprstvw"), list("aeiou")
    syllables = [f"{c}{v}" for c in consonants for v in vowels]
    words = ["".join(rng.choice(syllables, rng.integers(1, 5))).capitalize() for _ in range(3000)]
    titles = [
        f"{' '.join(rng.choice(words, rng.integers(1, 7)))} ({rng.integers(1920, 2024)})"
        for _ in range(40_000)
    ]
    return [*titles[:20_000], "Quixotic Zephyr: The Jubilee of Amaryllis (1987)", *titles[20_000:]]


@pytest.mark.parametrize(
    "asked",
    [
        "Quixotic Zephyr: The Jubilee of Amaryllis (1978)",
        "Quixotic Zephyr The Jubilee of Amaryllis",
        "quixtoic zepyhr: the jubilee of amarylis (1987)",
        "QUIXOTIC ZEPHYR: THE JUBILE OF AMARYLLIS",
        "Quixotic Zephyr",
        "jubilee amaryllis",
        "The Jubilee of Amaryllis: Quixotic Zephyr",
    ],
)
def test_the_nearest_in_spite_of_mistakes(synthetic_titles, asked):
    """Typing errors, another case, missing words, and words in another order."""
    assert near(asked, synthetic_titles)[0] == synthetic_titles[20_000]
    assert near(asked, synthetic_titles, n=1) == [synthetic_titles[20_000]]


@pytest.mark.parametrize("asked", ["zzzz", "xxyyzz jjjqqq", "%$#@!", ""])
def test_nonsense_is_near_nothing(synthetic_titles, asked):
    assert near(asked, synthetic_titles) == []


@pytest.mark.parametrize("form", ["mapping", "frame", "history", "matrix"])
def test_forms_of_many_histories(form):
    run = Recommender(
        made(MODELS["linear"], ids=np.array([f"i{j:04}" for j in range(WIDTH)], dtype=object))
    )
    matrix = histories(5)
    ids = [[f"i{j:04}" for j in row.indices] for row in matrix]
    users = [f"u{i}" for i in range(5)]
    schema = run.run.schema
    frame = polars.DataFrame(
        {"user": np.repeat(users, list(map(len, ids))), "item": [i for row in ids for i in row]}
    )
    made_of = {
        "mapping": dict(zip(users, ids, strict=True)),
        "frame": frame.sample(fraction=1.0, shuffle=True, seed=1),
        "history": History(schema, matrix, None, np.array(users, dtype=object), np.arange(5), 2),
        "matrix": matrix,
    }[form]
    found, expected = run.recommend_many(made_of, 7), run.recommend_many(matrix, 7)
    order = list(range(5)) if form == "matrix" else [found.users.tolist().index(u) for u in users]
    assert np.array_equal(found.items[order], expected.items)
    assert np.array_equal(found.scores[order], expected.scores)
    assert len(found.to_frame()) == 35
    codes = run.codes(made_of)[order]
    assert np.allclose(codes, run.run.encode(SparseRows.of(matrix))[0], atol=1e-5)


ONE = [3, 50, 7]
"""The history of one user."""


@pytest.mark.parametrize(
    "history",
    [
        dict.fromkeys(ONE, 1.0),
        np.array(ONE),
        torch.tensor(ONE),
        polars.Series(ONE),
        polars.DataFrame({"item": ONE}),
        polars.DataFrame({"user": ["u"] * 3, "item": ONE}),
        csr_matrix(([1.0] * 3, ([0] * 3, ONE)), shape=(1, WIDTH)),
    ],
    ids=["mapping", "array", "tensor", "series", "items", "frame", "matrix"],
)
def test_forms_of_one_history(history):
    assert ANY.recommend(history, 5) == ANY.recommend(ONE, 5)


def test_histories_of_several_users_are_not_one():
    frame = polars.DataFrame({"user": [1, 2], "item": [3, 50]})
    for several in (frame, histories(2)):
        with pytest.raises(DataError, match="got those of 2 users: take recommend_many"):
            ANY.recommend(several)


def test_similar_is_the_cosine_of_the_vectors():
    vectors = ANY.item_vectors.astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit[17]
    cosine[17] = -2
    found = ANY.similar(17, 6)
    assert [r.item for r in found] == np.argsort(-cosine, kind="stable")[:6].tolist()
    assert np.allclose([r.score for r in found], np.sort(cosine)[::-1][:6], atol=1e-6)
    assert ANY.similar(17, 2, deny=[found[0].item])[0].item == found[1].item


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small run on the synthetic set."""
    plan = {
        "data": {"source": "synthetic-interactions"},
        "model": {
            "latent": [8],
            "likelihood": "Multinomial",
            "network": {"type": "MLP", "hidden": [16]},
        },
        "training": {"epochs": 2, "monitor": "ndcg@10", "accelerator": "cpu"},
        "report": {"write": False},
    }
    folder = tmp_path_factory.mktemp("recommend") / "run"
    lowerbound.fit(parse(plan), out=folder, progress=False)
    return folder


def listed(out):
    return json.loads(out.splitlines()[-1])["items"]


def test_command_for_one_history(command, folder):
    code, out, _ = command(
        "recommend", folder, "--history", "item-001", "taste-1 item 3", "-k", 4, "--json"
    )
    found = listed(out)
    assert code == 0
    expected = Recommender.load(folder).recommend(["item-001", "item-025"], 4)
    assert [(r["item"], r["title"], r["score"]) for r in found] == [tuple(r) for r in expected]
    apart = command(
        "recommend",
        folder,
        "--history",
        "item-001",
        "-k",
        4,
        "--history",
        "taste-1 item 3",
        "--json",
    )
    assert listed(apart[1]) == found
    lines = command("recommend", folder, "--history", "item-001", "item-025", "-k", 4)[
        1
    ].splitlines()
    assert lines[0].split() == ["rank", "title", "item", "score"]
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split()[-2] == found[0]["item"]


def test_command_limits(command, folder, tmp_path):
    (tmp_path / "some.txt").write_text("item-003\n\ntaste-4 item 0\nitem-005\n")
    history = ["--history", "item-001", "--json", "-k"]
    allowed = listed(
        command("recommend", folder, *history, 2, "--allow", tmp_path / "some.txt", "item-006")[1]
    )
    assert {r["item"] for r in allowed} <= {"item-003", "item-004", "item-005", "item-006"}
    usual = listed(command("recommend", folder, *history, 3)[1])
    others = listed(
        command("recommend", folder, *history, 2, "--deny", usual[0]["item"], usual[1]["title"])[1]
    )
    assert others[0] == usual[2]
    seen = listed(command("recommend", folder, *history, 500, "--include-seen")[1])
    assert "item-001" in {r["item"] for r in seen}


def test_command_leaves_unknown_items_out(command, folder, tmp_path):
    asked = ["recommend", folder, "--history", "item-001"]
    usual = listed(command(*asked, "--json")[1])
    code, out, _ = command(*asked, "itm-002", "nobody", "--json")
    assert code == 0
    assert listed(out) == usual
    assert json.loads(out.splitlines()[-1])["unknown"] == ["itm-002", "nobody"]
    lines = command(*asked, "itm-002")[1].splitlines()
    assert lines[-1].startswith("1 item was left out: no item 'itm-002' among the 500 of this run")
    assert "did you mean" in lines[-1]
    lines = command(*asked, "--allow", "item-002", "item-003")[1].splitlines()
    assert lines[-1] == "2 of 10: no more are left to recommend"
    (tmp_path / "users.csv").write_text("user,item\na,item-001\na,new\nb,newer\n")
    many = ["recommend", folder, "--users", tmp_path / "users.csv", "--out", tmp_path / "x.csv"]
    assert "2 items of" in command(*many)[1]
    code, _, err = command(*many, "--unknown", "error")
    assert code == 2
    assert "2 items of" in err


def test_command_similar(command, folder):
    found = listed(
        command("recommend", folder, "--similar", "TASTE-1 item 0", "-k", 3, "--json")[1]
    )
    assert [r["item"] for r in found] == [
        r.item for r in Recommender.load(folder).similar("item-001", 3)
    ]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_command_for_many_users(command, folder, tmp_path, ending):
    had = {"zoe": ["item-001", "item-009"], "adam": ["item-002"], "eve": ["nothing-known"]}
    rows = [(user, item) for user, items in had.items() for item in items]
    polars.DataFrame(rows, schema=["user", "item"], orient="row").write_csv(tmp_path / "users.csv")
    out = tmp_path / f"recs.{ending}"
    code, text, _ = command(
        "recommend", folder, "--users", tmp_path / "users.csv", "--out", out, "-k", 5
    )
    frame = (polars.read_csv if ending == "csv" else polars.read_parquet)(out)
    assert code == 0
    assert "15 recommendations for 3 users" in text
    assert "of 1 nothing is known: they get the most popular items" in text
    assert frame.columns == ["user", "rank", "item", "title", "score", "popular"]
    assert frame["rank"].to_list() == [1, 2, 3, 4, 5] * 3
    assert set(frame.filter(polars.col("popular"))["user"]) == {"eve"}
    for user in ("zoe", "adam"):
        alone = Recommender.load(folder).recommend(had[user], 5)
        own = frame.filter(polars.col("user") == user)
        assert own["item"].to_list() == [r.item for r in alone]
        assert np.array_equal(
            own["score"].to_numpy().astype(np.float32), np.float32([r.score for r in alone])
        )
    known = command("recommend", folder, "--users", tmp_path / "users.csv", "--out", out, "--json")[
        1
    ]
    assert json.loads(known)["users_without"] == 0
    assert json.loads(known)["users_popular"] == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "recommend needs one of --history, --user, --users, --similar; got none"),
        (["--history", "item-001", "--similar", "item-001"], "got --history and --similar"),
        (["--history"], "--history needs one value or more"),
        (["--history", "-k", "5"], "--history needs one value or more"),
        (
            ["--history", "itm-001", "--unknown", "error"],
            (
                "no item 'itm-001' among the 500 of this run, neither by id nor by title; did you "
                "mean 'item-0"
            ),
        ),
        (["--history", "taste-1 itm 3", "--unknown", "error"], "did you mean 'taste-1 item 3'"),
        (["--history", "item-001", "x", "--unknown", "error"], "no item 'x' among the 500"),
        (["--history", "item-001", "--deny", "x", "--unknown", "error"], "no item 'x' among"),
        (["--history", "item-001", "--unknown", "no"], "unknown must be one of leave-out, error"),
        (["--history", "item-001", "--deny", "no.txt"], "no.txt: there is no such file of items"),
        (["--history", "item-001", "--out", "x.csv"], "--out goes with --users"),
        (["--users", "nothere.csv", "--out", "x.csv"], "nothere.csv"),
        (["--users", "nothere.csv"], "--users needs --out FILE"),
        (["--users", "nothere.csv", "--out", "x.txt"], "ending must be one of .csv, .parquet"),
        (["--similar", "itm-001"], "no item 'itm-001' among the 500 of this run"),
    ],
)
def test_a_mistake_in_the_command(command, folder, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("recommend", folder, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("lowerbound: ")
    assert line in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_half_written(command, folder, tmp_path, monkeypatch):
    polars.DataFrame({"user": ["a"], "item": ["item-001"]}).write_csv(tmp_path / "users.csv")

    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(polars.DataFrame, "write_parquet", broken)
    code, _, err = command(
        "recommend", folder, "--users", tmp_path / "users.csv", "--out", tmp_path / "recs.parquet"
    )
    assert code == 2
    assert "cannot write" in err
    assert [p.name for p in tmp_path.iterdir()] == ["users.csv"]


def test_a_file_of_items_that_is_no_text(command, folder, tmp_path):
    (tmp_path / "bytes").write_bytes(bytes(range(128, 255)))
    code, _, err = command(
        "recommend", folder, "--history", "item-001", "--allow", tmp_path / "bytes"
    )
    assert code == 2
    assert "cannot be read as a list of items" in err


@pytest.mark.parametrize("ending", ["parquet", "csv", "npy"])
def test_encode_writes_users_and_items(command, folder, tmp_path, ending):
    code, out, _ = command("encode", folder, "--out", tmp_path / f"codes.{ending}")
    fitted = lowerbound.load(folder)
    users, vectors = fitted.data().whole, Recommender(fitted).item_vectors
    codes = fitted.encode(users)[0].numpy()
    assert code == 0
    assert f"500 vectors of items in {tmp_path / f'codes.items.{ending}'}" in out
    if ending == "npy":
        assert np.array_equal(np.load(tmp_path / "codes.npy"), codes)
        assert np.array_equal(np.load(tmp_path / "codes.items.npy"), vectors)
        return
    read = polars.read_csv if ending == "csv" else polars.read_parquet
    frame, items = read(tmp_path / f"codes.{ending}"), read(tmp_path / f"codes.items.{ending}")
    assert frame.columns == ["user", *(f"z1_{i}" for i in range(1, 9))]
    assert frame["user"].to_list() == users.users.tolist()
    assert np.allclose(frame.select("^z.*$").to_numpy(), codes)
    assert items.columns == ["item", "title", *(f"v{i}" for i in range(1, 17))]
    assert np.allclose(items.select("^v.*$").to_numpy(), vectors)


def test_values_of_an_option_are_spread():
    repeated = repeat_list_options(["r", "--history", "a", "b", "--json", "--deny", "c"])
    assert repeated == ["r", "--history", "a", "--history", "b", "--json", "--deny", "c"]
    assert repeat_list_options(["r", "--history=-x-", "-k", "3"]) == [
        "r",
        "--history=-x-",
        "-k",
        "3",
    ]
