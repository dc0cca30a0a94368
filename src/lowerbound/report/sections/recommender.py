"""The sections of a recommender's page."""

import numpy as np

from ...data import Dataset, History, Items
from ...evaluation.ranking import Slice, by_activity, by_item_popularity, difference
from ...run import Run
from ..figures import amounts, bars, classes, levels
from ..findings.recommender import (
    KNOWN,
    NEIGHBOURS,
    Compared,
    Findings,
    findings,
    nearest,
    popularity_ranks,
    unit_rows,
)
from ..records import Kind, Picture, Section, Table
from ..text import figure, metric, spread
from .latent import usage

GROUPS = 4


def _titles(items: Items | None, count: int) -> list[str]:
    """What each item is called: its title, or its id."""
    if items is None:
        return [f"item {i + 1}" for i in range(count)]
    ids = [str(i) for i in items.ids]
    return (
        ids
        if items.titles is None
        else [title or name for title, name in zip(items.titles, ids, strict=True)]
    )


def verdict(compared: Compared, other: str) -> tuple[str, bool]:
    """Whether the model beats another, in a sentence, and whether that is beyond twice the standard
    error.
    """
    found = difference(compared.rankings["model"], compared.rankings[other], compared.headline)
    by = f"on the {compared.split} users its {metric(compared.headline)} is {figure(abs(found.value))}"
    error = f"(±\u00a0{figure(found.standard_error)})"
    if found.value > 2 * found.standard_error:
        return f"The model beats {other}: {by} above {error}.", True
    if found.value > 0:
        return (
            f"The model does not clearly beat {other}: {by} above, which is within twice the "
            f"standard error {error}.",
            False,
        )
    return f"The model does not beat {other}: " + (
        f"{by} below {error}." if found.value else "both score the same."
    ), False


def _compared_row(compared: Compared, name: str) -> tuple[str, ...]:
    """One metric of the model, and of each other with the difference to it."""
    model, *others = compared.rankings.values()
    cells = [metric(name), spread(model[name])]
    for other in others:
        cells += [spread(other[name]), spread(difference(model, other, name), sign=True)]
    return tuple(cells)


def _compared(compared: Compared) -> Table:
    """The metrics beside those of the baselines."""
    model, *others = compared.rankings
    head = ("metric", model, *(part for name in others for part in (name, f"model − {name}")))
    users, out = len(compared.rankings[model].users), compared.rankings[model].left_out
    left = f"; {out:,} without a held-out item are left out" if out else ""
    mean = f"Mean over {users:,} {compared.split} users ± standard error{left}."
    rows = tuple(_compared_row(compared, name) for name in compared.names)
    return Table(head, rows, f"{mean} The error of a difference is paired, user by user.")


def _bars(compared: Compared) -> Picture:
    shown = dict.fromkeys([compared.headline, *compared.names])
    short = [name for name in shown if not name.startswith(("recall_capped", "mrr"))][:4]
    series = {
        name: ([ranking[m].value for m in short], [ranking[m].standard_error for m in short])
        for name, ranking in compared.rankings.items()
    }
    return Picture(
        "quality",
        f"Ranking of the {compared.split} users",
        "The whiskers are standard errors over users.",
        lambda ax: bars([metric(m) for m in short], series, "mean over users", ax),
    )


def quality(run: Run, found: Findings) -> Section | None:
    """Metrics of the test split beside the baselines."""
    compared = found.compared
    if compared is None:
        return None
    verdicts = [verdict(compared, other) for other in compared.rankings if other != "model"]
    warned = [text for text, beats in verdicts if not beats]
    if compared.split == "validation":
        untested = "There is no test split with held-out items: these are the validation users, by whom the weights were chosen too."
        warned.append(untested)
    told = (*(text for text, beats in verdicts if beats), *compared.notes)
    return Section(
        "How well it ranks", told, tuple(warned), (_compared(compared),), (_bars(compared),)
    )


def _span(part: Slice) -> str:
    low, high = int(part.low), int(part.high)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _groups(
    slices: dict[str, tuple[Slice, ...]], name: str, of: str
) -> tuple[list[str], dict[str, tuple[list[float], list[float]]], tuple]:
    """Labels of the groups, bars of each ranking, and rows of a table."""
    first = slices["model"]
    labels = [f"{_span(part)}\n{part.size:,} {of}" for part in first]
    series = {
        key: (
            [p.metrics[name].value for p in parts],
            [p.metrics[name].standard_error for p in parts],
        )
        for key, parts in slices.items()
    }
    rows = tuple(
        (
            _span(part),
            f"{part.size:,}",
            *(spread(parts[i].metrics[name]) for parts in slices.values()),
        )
        for i, part in enumerate(first)
    )
    return labels, series, rows


def _activity(compared: Compared) -> tuple[Table, Picture]:
    name = compared.headline
    slices = {
        key: by_activity(ranking, compared.users, groups=GROUPS)
        for key, ranking in compared.rankings.items()
    }
    labels, series, rows = _groups(slices, name, "users")
    table = Table(
        ("items in the history", "users", *slices),
        rows,
        f"{metric(name)} by the size of the history that the model is shown.",
    )
    told = f"{metric(name)} ± standard error for quarters of the {compared.split} users, by the items in their history."
    return table, Picture(
        "activity",
        "By activity",
        told,
        lambda ax: bars(labels, series, metric(name), ax, xlabel="items in the history"),
    )


def _by_popularity(compared: Compared, popularity: np.ndarray) -> tuple[Table, Picture]:
    k = compared.k(50)
    slices = {
        key: by_item_popularity(ranking, popularity, k=k, groups=GROUPS)
        for key, ranking in compared.rankings.items()
    }
    labels, series, rows = _groups(slices, f"recall@{k}", "items")
    table = Table(
        ("training users", "items", *slices),
        rows,
        f"Recall@{k} of the held-out items that are rare, and of those that are popular.",
    )
    told = f"Recall@{k} ± standard error over the users with such a held-out item, for quarters of the catalogue, the rarest first."
    return table, Picture(
        "item_popularity",
        "By popularity",
        told,
        lambda ax: bars(labels, series, f"recall@{k}", ax, xlabel="training users of the item"),
    )


def _bias(compared: Compared, popularity: np.ndarray) -> tuple[str, Table, Picture]:
    """What the lists hold of the catalogue, and how popular that is beside what was to be found."""
    k, ranks = compared.k(20), popularity_ranks(popularity)
    target = float(ranks[compared.rankings["model"].columns.numpy()].mean())
    means = {
        name: ranking.mean_popularity_rank[k]
        for name, ranking in compared.rankings.items()
        if ranking.mean_popularity_rank
    }
    covered = {name: compared.rankings[name].coverage[k] for name in means}
    side = "more popular" if means["model"] < target else "less popular"
    sentence = (
        f"The lists of {k} hold {covered['model']:.0%} of the catalogue. What the model recommends "
        f"is {side} than what the users "
        f"had: mean rank {figure(means['model'], 0)} against {figure(target, 0)}."
    )
    rows = [(name, f"{covered[name]:.1%}", figure(mean, 0)) for name, mean in means.items()]
    caption = (
        f"What the lists of {k} items hold: the part of the catalogue that somebody is "
        "recommended, "
        f"and the mean popularity rank (1 is the most popular of {len(ranks):,} items)."
    )
    table = Table(
        ("", "coverage", "mean popularity rank"),
        (*rows, ("held-out items", "–", figure(target, 0))),
        caption,
    )
    return sentence, table, _popularity({**means, "held-out items": target}, k)


def _popularity(ranks: dict[str, float], k: int) -> Picture:
    told = f"Mean popularity rank of the items in the lists of {k}, and of the items that were to be found; 1 is the most popular."
    return Picture(
        "popularity_bias",
        "Popularity of what is recommended",
        told,
        lambda ax: levels(ranks, "mean popularity rank", ax, grey="held-out items"),
    )


def slices(run: Run, found: Findings) -> Section | None:
    """Who is served well, what is recommended of the catalogue, and how popular that is."""
    compared = found.compared
    if compared is None:
        return None
    made = (_activity(compared), _by_popularity(compared, found.popularity))
    parts = [part for part in made if len(part[0].rows) > 1]
    sentence, table, picture = _bias(compared, found.popularity)
    tables, pictures = (*(t for t, _ in parts), table), (*(p for _, p in parts), picture)
    return Section(
        "For whom, and what of the catalogue", (sentence,), tables=tables, pictures=pictures
    )


def neighbours(run: Run, found: Findings) -> Section | None:
    """The nearest items of the best-known ones."""
    vectors = found.vectors
    if vectors.shape[1] < 2 or len(vectors) < 3 or not np.isfinite(vectors).all():
        return None
    units, titles = unit_rows(vectors), _titles(run.items, len(vectors))
    known = np.argsort(-found.popularity, kind="stable")[:KNOWN]
    count = min(NEIGHBOURS, len(vectors) - 1)
    rows = tuple(
        (titles[i], *(f"{titles[j]} ({figure(c, 2)})" for j, c in nearest(units, int(i), count)))
        for i in known
    )
    head = ("item", *("nearest" if i == 0 else str(i + 1) for i in range(count)))
    caption = f"The {len(known)} items of most training users, and of all {len(vectors):,} items the nearest to each, with cosines."
    width = vectors.shape[1]
    told = f"An item's vector is the row of the decoder's last weight that gives its score, {width} numbers; near is a large cosine."
    return Section("Nearest items", (told,), (), (Table(head, rows, caption, numbers=False),))


def maps(run: Run, found: Findings) -> Section | None:
    """Maps of the items and of the users."""
    pictures = []
    if (items := found.items) is not None:
        genres = None if run.items is None else run.items.genres
        kinds = [
            "" if genres is None or not genres[i] else genres[i].split("|")[0].strip()
            for i in items.rows
        ]
        coloured = " Coloured by the first genre." if any(kinds) else ""
        most = "all" if len(items.rows) == len(found.popularity) else "the most popular"
        told = f"{most[0].upper()}{most[1:]} {len(items.rows):,} items, by their vectors.{coloured}{items.told}"
        pictures.append(
            Picture(
                "items",
                "Map of the items",
                told,
                lambda ax: classes(items.points, kinds, ax, most=8, axes=items.axes),
            )
        )
    users, train = found.users, found.data.train
    if users is not None and isinstance(train, History):
        counts = np.diff(train.matrix.indptr)[users.rows]
        many = f"{len(users.rows):,} of {len(train):,} training users"
        told = f"{many}, by their codes (posterior means), coloured by the number of items that they have.{users.told}"
        pictures.append(
            Picture(
                "users",
                "Map of the users",
                told,
                lambda ax: amounts(
                    users.points, counts.tolist(), "items of the user", ax, axes=users.axes
                ),
            )
        )
    return Section("Maps", pictures=tuple(pictures)) if pictures else None


def health(run: Run, found: Findings) -> Section | None:
    """Whether the latents are in use; an autoencoder has codes without a distribution."""
    if found.latent is None:
        return None
    return usage(found.latent, "user", f"{found.latent_users:,} {found.latent_split} users")


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Nothing: what is seen of a recommender in training are its figures."""
    return {}


KIND = Kind(
    findings,
    (quality, slices, neighbours, maps, health),
    ("validation", "elbo", "quality", "activity", "rates_1", "items"),
    glance,
)
