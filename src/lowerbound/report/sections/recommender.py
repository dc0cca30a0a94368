"""The sections of a recommender's page."""

import numpy as np

from ...data import Dataset, History, Items
from ...evaluation.ranking import BEYOND, Slice, by_activity, by_item_popularity, difference
from ...recommend import Recommender
from ...recommend.calibration import kept_calibration
from ...run import Run
from ..figures import Bars, amounts, bars, classes, levels
from ..findings.recommender import (
    COLD,
    KNOWN,
    MODEL,
    NEIGHBOURS,
    Compared,
    Findings,
    nearest,
    popularity_ranks,
    unit_rows,
)
from ..findings.recommender import findings as measure_recommender
from ..projection import Plane
from ..records import Kind, Picture, Section, Table
from ..text import format_estimate, format_number, metric_title, shorten
from .given import MOST_CONDITIONS, shown_values
from .latent import usage

GROUPS = 4
"""Users and items are divided into this many groups: quarters of them."""


DRAWN_METRICS = 4
"""At most this many ranking metrics have bars."""


COLOURED_GENRES = 8
"""The map of the items has at most this many genres in colour."""


SUBJECTS = {COLD: "The ranking by features alone, as of users without a history,"}
"""How sentences call a ranking that is not that of the model."""

HELD_OUT = "held-out items"
"""The name of the items that were to be found, beside those of the rankings."""


Slices = dict[str, tuple[Slice, ...]]
"""The groups of users or items in each ranking, by its name."""


def quality(run: Run, findings: Findings) -> Section | None:
    """Shows the metrics beside those of the baselines; None where no users can be ranked."""
    compared = findings.compared
    if compared is None:
        return None
    sentences = []
    warnings = []
    for name, of in _pairs(compared):
        sentence, beats = verdict(compared, name, of)
        if beats:
            sentences.append(sentence)
        else:
            warnings.append(sentence)
    if compared.split == "validation":
        warnings.append(
            "There is no test split with held-out items: these are the validation users, by whom "
            "the weights were chosen too."
        )
    return Section(
        "How well it ranks",
        (*sentences, *compared.notes),
        tuple(warnings),
        (_metric_table(compared),),
        (_metric_bars(compared),),
    )


def _pairs(compared: Compared) -> list[tuple[str, str]]:
    """Lists the rankings with those that are measured against them: the model against all others,
    and the features of users alone, as for new users, against popularity.
    """
    pairs = [(name, MODEL) for name in compared.rankings if name != MODEL]
    if COLD in compared.rankings:
        pairs.append(("popularity", COLD))
    return pairs


def verdict(compared: Compared, other: str, of: str = MODEL) -> tuple[str, bool]:
    """Says whether a ranking, that of the model if no other is named, beats another one.

    Returns:
        A sentence, and whether it is better by more than twice the standard error.
    """
    name = SUBJECTS.get(of, f"The {of}")
    lead = difference(compared.rankings[of], compared.rankings[other], compared.headline)
    size = format_number(abs(lead.value))
    error = f"(±\u00a0{format_number(lead.standard_error)})"
    by = f"on the {compared.split} users its {metric_title(compared.headline)} is {size}"
    if lead.is_clearly_above:
        return f"{name} beats {other}: {by} above {error}.", True
    if lead.value > 0:
        sentence = (
            f"{name} does not clearly beat {other}: {by} above, which is within twice the "
            f"standard error {error}."
        )
        return sentence, False
    if lead.value:
        return f"{name} does not beat {other}: {by} below {error}.", False
    return f"{name} does not beat {other}: both score the same.", False


def _metric_table(compared: Compared) -> Table:
    """Makes the table of the metrics beside those of the baselines."""
    head = ["metric", "model"]
    for name in compared.rankings:
        if name != MODEL:
            head += [name, f"model − {name}"]
    rows = tuple(_metric_row(compared, name) for name in compared.names)
    model = compared.rankings[MODEL]
    caption = f"Mean over {len(model.users):,} {compared.split} users ± standard error"
    if model.left_out:
        caption += f"; {model.left_out:,} without a held-out item are left out"
    caption += ". The error of a difference is paired, user by user."
    return Table(tuple(head), rows, caption)


def _metric_row(compared: Compared, metric: str) -> tuple[str, ...]:
    """Writes a metric of the model, and of each baseline with the difference to it."""
    model, *others = compared.rankings.values()
    cells = [metric_title(metric), format_estimate(model[metric])]
    for other in others:
        gap = difference(model, other, metric)
        cells.append(format_estimate(other[metric]))
        cells.append(format_estimate(gap, sign=True))
    return tuple(cells)


def _metric_bars(compared: Compared) -> Picture:
    metrics = []
    for name in dict.fromkeys([compared.headline, *compared.names]):
        if not name.startswith(("recall_capped", "mrr")):
            metrics.append(name)
    drawn = metrics[:DRAWN_METRICS]
    titles = [metric_title(name) for name in drawn]
    series = {}
    for name, ranking in compared.rankings.items():
        estimates = [ranking[metric] for metric in drawn]
        values = [estimate.value for estimate in estimates]
        errors = [estimate.standard_error for estimate in estimates]
        series[name] = (values, errors)
    return Picture(
        "quality",
        f"Ranking of the {compared.split} users",
        "The whiskers are standard errors over users.",
        lambda ax: bars(titles, series, "mean over users", ax),
    )


def slices(run: Run, findings: Findings) -> Section | None:
    """Shows who is served well, what is recommended of the catalogue, and how popular that is.

    Returns:
        The section, or None where no users can be ranked.
    """
    compared = findings.compared
    if compared is None:
        return None
    tables = []
    pictures = []
    for table, picture in (
        _by_activity(compared),
        _by_popularity(compared, findings.popularity),
    ):
        if len(table.rows) > 1:
            tables.append(table)
            pictures.append(picture)
    sentence, table, picture = _popularity_bias(compared, findings.popularity)
    return Section(
        "For whom, and what of the catalogue",
        (sentence,),
        tables=(*tables, table),
        pictures=(*pictures, picture),
    )


def _by_activity(compared: Compared) -> tuple[Table, Picture]:
    """Shows the headline metric by the size of the histories."""
    metric = compared.headline
    title = metric_title(metric)
    groups: Slices = {}
    for name, ranking in compared.rankings.items():
        groups[name] = by_activity(ranking, compared.users, groups=GROUPS)
    table = Table(
        ("items in the history", "users", *groups),
        _slice_rows(groups, metric),
        f"{title} by the size of the history that the model is shown.",
    )
    labels, series = _slice_bars(groups, metric, "users")
    picture = Picture(
        "activity",
        "By activity",
        f"{title} ± standard error for quarters of the {compared.split} users, by the items in "
        "their history.",
        lambda ax: bars(labels, series, title, ax, xlabel="items in the history"),
    )
    return table, picture


def _by_popularity(compared: Compared, popularity: np.ndarray) -> tuple[Table, Picture]:
    """Shows the recall of rare and of popular items."""
    k = compared.k(50)
    metric = f"recall@{k}"
    groups: Slices = {}
    for name, ranking in compared.rankings.items():
        groups[name] = by_item_popularity(ranking, popularity, k=k, groups=GROUPS)
    table = Table(
        ("training users", "items", *groups),
        _slice_rows(groups, metric),
        f"Recall@{k} of the held-out items that are rare, and of those that are popular.",
    )
    labels, series = _slice_bars(groups, metric, "items")
    picture = Picture(
        "item_popularity",
        "By popularity",
        f"Recall@{k} ± standard error over the users with such a held-out item, for quarters of "
        "the catalogue, the rarest first.",
        lambda ax: bars(labels, series, metric, ax, xlabel="training users of the item"),
    )
    return table, picture


def _slice_rows(groups: Slices, metric: str) -> tuple[tuple[str, ...], ...]:
    """Writes a metric of each ranking for each group, one row for a group."""
    rows = []
    for i, part in enumerate(groups[MODEL]):
        cells = [_span(part), f"{part.size:,}"]
        for parts in groups.values():
            cells.append(format_estimate(parts[i].metrics[metric]))
        rows.append(tuple(cells))
    return tuple(rows)


def _slice_bars(groups: Slices, metric: str, unit: str) -> tuple[list[str], Bars]:
    """Returns the labels of the groups, whose members are `unit`, and bars of each ranking."""
    labels = [f"{_span(part)}\n{part.size:,} {unit}" for part in groups[MODEL]]
    series = {}
    for name, parts in groups.items():
        estimates = [part.metrics[metric] for part in parts]
        values = [estimate.value for estimate in estimates]
        errors = [estimate.standard_error for estimate in estimates]
        series[name] = (values, errors)
    return labels, series


def _span(part: Slice) -> str:
    """Writes the range of the counts of a group."""
    low = int(part.low)
    high = int(part.high)
    if low == high:
        return f"{low:,}"
    return f"{low:,}–{high:,}"


def _popularity_bias(compared: Compared, popularity: np.ndarray) -> tuple[str, Table, Picture]:
    """Shows what the lists hold of the catalogue, and how popular that is beside what users had."""
    k = compared.k(20)
    ranks = popularity_ranks(popularity)
    targets = compared.rankings[MODEL].columns.numpy()
    target_rank = float(ranks[targets].mean())
    mean_ranks = {}
    coverage = {}
    for name, ranking in compared.rankings.items():
        if ranking.mean_popularity_rank:
            mean_ranks[name] = ranking.mean_popularity_rank[k]
            coverage[name] = ranking.coverage[k]
    model_rank = mean_ranks[MODEL]
    side = "more popular" if model_rank < target_rank else "less popular"
    sentence = (
        f"The lists of {k} hold {coverage['model']:.0%} of the catalogue. What the model "
        f"recommends is {side} than what the users had: mean rank {format_number(model_rank, 0)} "
        f"against {format_number(target_rank, 0)}."
    )
    beyond = [name for name in BEYOND if f"{name}@{k}" in compared.rankings[MODEL].metrics]
    rows = []
    for name, mean_rank in mean_ranks.items():
        ranking = compared.rankings[name]
        cells = [name, f"{coverage[name]:.1%}", format_number(ranking.gini[k], 3)]
        cells += [format_number(ranking[f"{metric}@{k}"].value, 3) for metric in beyond]
        rows.append((*cells, format_number(mean_rank, 0)))
    nothing = ["–"] * (2 + len(beyond))
    rows.append((HELD_OUT, *nothing, format_number(target_rank, 0)))
    caption = (
        f"What the lists of {k} items hold: the part of the catalogue that somebody is "
        "recommended, how unequally (Gini index, 0 is equally), and the mean popularity rank (1 is "
        f"the most popular of {len(ranks):,} items)."
    )
    if beyond:
        caption += (
            " tail recall: of the held-out items beside the most popular ones, which have a third "
            "of all interactions. serendipity: hits that are not in the user's list by popularity. "
            "novelty: bits, by how few users have an item."
        )
    if compared.vectors_of:
        caption += f" diversity: mean distance of pairs, by the {compared.vectors_of}."
    heads = [metric_title(name) for name in beyond]
    table = Table(("", "coverage", "Gini", *heads, "mean popularity rank"), tuple(rows), caption)
    drawn = {**mean_ranks, HELD_OUT: target_rank}
    picture = Picture(
        "popularity_bias",
        "Popularity of what is recommended",
        f"Mean popularity rank of the items in the lists of {k}, and of the items that were to be "
        "found; 1 is the most popular.",
        lambda ax: levels(drawn, "mean popularity rank", ax, grey=HELD_OUT),
    )
    return sentence, table, picture


def features(run: Run, findings: Findings) -> Section | None:
    """Lists what is recommended to users of whom one feature alone is known; None for a run that
    has no features of users.
    """
    if not run.schema.given:
        return None
    recommender = Recommender(run)
    titles = _item_titles(run.items, len(findings.popularity))
    count = min(NEIGHBOURS, len(titles))
    tables = []
    for column in run.schema.given[:MOST_CONDITIONS]:
        values = shown_values(column)
        given = {column.name: [shown.word for shown in values]}
        nothing: tuple[str, ...] = ()
        histories = dict.fromkeys(range(len(values)), nothing)
        lists = recommender.recommend_many(histories, count, given=given)
        rows = []
        for shown, items in zip(values, lists.items, strict=True):
            rows.append((shorten(shown.word, 40), *(titles[item] for item in items)))
        name = shorten(column.name, 40)
        places = [str(place) for place in range(1, count + 1)]
        caption = f"The best {count} items by {name} alone; all else is unknown."
        tables.append(Table((name, *places), tuple(rows), caption, numbers=False))
    names = ", ".join(shorten(name, 40) for name in run.schema.names_of_conditions)
    sentence = f"The encoder and the decoder see {names} of each user beside the history."
    return Section("Features of users", (sentence,), tables=tuple(tables))


def probabilities(run: Run, findings: Findings) -> Section | None:
    """Shows how scores as probabilities are met by test users; None of a run that was never asked
    for probabilities, or whose calibration was not measured.
    """
    calibration = kept_calibration(run.folder)
    if calibration is None or "table" not in calibration.facts:
        return None
    rows = []
    for group in calibration.facts["table"]:
        probability = format_number(group["probability"], 4)
        truth = format_number(group["next"], 4)
        rows.append((f"{group['items']:,}", probability, truth))
    caption = (
        "The first items of the lists of test users in groups of equal size, by their probability: "
        "its mean, and how often such an item was in truth what the user had next."
    )
    table = Table(("items", "probability", "in truth"), tuple(rows), caption)
    return Section("Probabilities", (f"{calibration.sentence}.",), tables=(table,))


def neighbours(run: Run, findings: Findings) -> Section | None:
    """Lists the nearest items of the best-known ones; None where cosines say nothing."""
    vectors = findings.vectors
    item_count, width = vectors.shape
    if width < 2 or item_count < 3 or not np.isfinite(vectors).all():
        return None
    titles = _item_titles(run.items, item_count)
    unit_vectors = unit_rows(vectors)
    known = np.argsort(-findings.popularity, kind="stable")[:KNOWN]
    count = min(NEIGHBOURS, item_count - 1)
    rows = []
    for item in known:
        cells = [titles[item]]
        for other, cosine in nearest(unit_vectors, int(item), count):
            cells.append(f"{titles[other]} ({format_number(cosine, 2)})")
        rows.append(tuple(cells))
    places = [str(place) for place in range(2, count + 1)]
    caption = (
        f"The {len(known)} items of most training users, and of all {item_count:,} items the "
        "nearest to each, with cosines."
    )
    sentence = (
        "An item's vector is the row of the decoder's last weight that gives its score, "
        f"{width} numbers; near is a large cosine."
    )
    table = Table(("item", "nearest", *places), tuple(rows), caption, numbers=False)
    return Section("Nearest items", (sentence,), tables=(table,))


def _item_titles(items: Items | None, count: int) -> list[str]:
    """Returns the title of each item, or its id where it has none."""
    if items is None:
        return [f"item {i + 1}" for i in range(count)]
    ids = [str(item) for item in items.ids]
    if items.titles is None:
        return ids
    return [title or name for title, name in zip(items.titles, ids, strict=True)]


def maps(run: Run, findings: Findings) -> Section | None:
    """Shows maps of the items and of the users; None where there is neither."""
    pictures = []
    if findings.items is not None:
        pictures.append(_item_map(run, findings.items, len(findings.popularity)))
    if findings.users is not None:
        pictures.append(_user_map(findings.users, findings.train))
    if not pictures:
        return None
    return Section("Maps", pictures=tuple(pictures))


def _item_map(run: Run, items: Plane, item_count: int) -> Picture:
    """Draws the map of the items, coloured by genre; `item_count` is that of the catalogue."""
    count = len(items.rows)
    genres = _first_genres(run.items, items.rows)
    which = "All" if count == item_count else "The most popular"
    caption = f"{which} {count:,} items, by their vectors."
    if any(genres):
        caption += " Coloured by the first genre."
    return Picture(
        "items",
        "Map of the items",
        f"{caption}{items.note}",
        lambda ax: classes(items.points, genres, ax, most=COLOURED_GENRES, axes=items.axes),
    )


def _first_genres(items: Items | None, rows: np.ndarray) -> list[str]:
    """Returns the first genre of each of some items; "" where none is known."""
    if items is None or items.genres is None:
        return ["" for _ in rows]
    genres = []
    for row in rows:
        listed = items.genres[row] or ""
        genres.append(listed.split("|")[0].strip())
    return genres


def _user_map(users: Plane, train: History) -> Picture:
    """Draws the map of training users, coloured by the number of their items."""
    counts = train.counts(users.rows).tolist()
    return Picture(
        "users",
        "Map of the users",
        f"{len(users.rows):,} of {len(train):,} training users, by their codes (posterior means), "
        f"coloured by the number of items that they have.{users.note}",
        lambda ax: amounts(users.points, counts, "items of the user", ax, axes=users.axes),
    )


def health(run: Run, findings: Findings) -> Section | None:
    """Shows whether the latents are in use; None for an autoencoder, which has no posterior."""
    if findings.latent is None:
        return None
    users = f"{findings.latent_users:,} {findings.latent_split} users"
    return usage(findings.latent, "user", users)


def glance(run: Run, data: Dataset) -> dict[str, np.ndarray]:
    """Draws nothing: what is seen of a recommender in training are its metrics."""
    return {}


KIND = Kind(
    measure=measure_recommender,
    parts=(quality, slices, probabilities, features, neighbours, maps, health),
    panels=("validation", "elbo", "quality", "activity", "rates_1", "items"),
    glance=glance,
)
