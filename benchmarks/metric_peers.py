"""Which ranking metric of RecTools, ranx, RePlay and LensKit equals which of ours.

    python benchmarks/metric_peers.py --peers PYTHON [--data NAME] [--results FOLDER]

All measure the same lists against the same targets: those of EASE for the test users of a set.
PYTHON is an interpreter with the four libraries; written for RecTools 0.19.0, ranx 0.3.21, RePlay
(replay-rec) 0.22.0 and LensKit 2025.8.1 beside NumPy 1.26, pyarrow 20 and Polars 1:

    python -m venv ENV
    ENV/bin/pip install rectools ranx lenskit "pyarrow<21" "polars<2" scikit-learn
    ENV/bin/pip install --no-deps replay-rec

(RePlay asks for an older scikit-learn than the others leave, which its metrics do not use.)

For each metric of theirs the mean over users is told, and the metric of ours that is equal to it to
1e-6, or else the nearest one in meaning with its own mean. Nothing of ours runs in the interpreter
of the peers, and nothing of theirs in ours.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

K = 20
"""The length of the lists."""

SAME = 1e-6
"""Means that differ by no more are the same."""

MEANT = {
    "RecTools": {
        "Recall": "recall",
        "Precision": "precision",
        "HitRate": "hit_rate",
        "MRR": "mrr",
        "MAP": "map",
        "MAP(divide_by_k=True)": "map",
        "NDCG": "ndcg",
        "NDCG(divide_by_achievable=True)": "ndcg",
        "MeanInvUserFreq": "novelty",
        "Serendipity": "serendipity",
        "IntraListDiversity(Hamming, genres)": "diversity",
        "CatalogCoverage(normalize=True)": "coverage",
        "AvgRecPopularity": "mean_popularity_rank",
        "PartialAUC": "auc",
    },
    "ranx": {
        "recall": "recall",
        "precision": "precision",
        "hit_rate": "hit_rate",
        "mrr": "mrr",
        "map": "map",
        "ndcg": "ndcg",
        "ndcg_burges": "ndcg",
    },
    "RePlay": {
        "Recall": "recall",
        "Precision": "precision",
        "HitRate": "hit_rate",
        "MRR": "mrr",
        "MAP": "map",
        "NDCG": "ndcg",
        "Surprisal": "novelty",
        "Surprisal x log2(users)": "novelty",
        "Unexpectedness": "serendipity",
        "Coverage": "coverage",
        "RocAuc": "auc",
    },
    "LensKit": {
        "Recall": "recall_capped",
        "Precision": "precision",
        "Hit": "hit_rate",
        "RecipRank": "mrr",
        "AveragePrecision": "map",
        "NDCG": "ndcg",
        "NDCG(weight=LogRankWeight(offset=1))": "ndcg",
        "MeanPopRank": "mean_popularity_rank",
        "ListGini": "gini",
    },
}
"""What is measured of each library, and the metric of ours that it is put beside."""

Lists = dict[str, list[int]]
Case = dict[str, Any]


# In our interpreter


def make_case(data: str) -> tuple[Case, dict[str, float]]:
    """Ranks for the test users of a set by EASE.

    Returns:
        What the peers are given, and our metrics of the same lists.
    """
    from lowerbound import recipe
    from lowerbound.baselines import Ease
    from lowerbound.evaluation.ranking import BEYOND, METRICS, rank
    from lowerbound.evaluation.ranking.beyond import facts_of_items

    settings: dict[str, Any] = {"data.source": data, "data.seed": 0}
    if data.startswith("movielens"):
        settings |= {"data.interactions.threshold": 4, "data.interactions.min_user_items": 5}
    opened = recipe.load("multvae").replace(settings).data.open()
    train = opened.users("train")
    test = opened.held_out("test")
    assert train is not None
    assert test is not None
    assert opened.items is not None
    facts = facts_of_items(opened.items, len(train))
    assert facts is not None
    scorer = Ease(300.0).fit(train.matrix)
    names = [name for name in BEYOND if name != "diversity" or facts.vectors is not None]
    ranking = rank(
        scorer,
        test,
        ks=(K,),
        metrics=[*METRICS, *names, "auc"],
        facts=facts,
        popularity=facts.popularity,
        keep_top=True,
    )
    assert ranking.top is not None
    assert ranking.mean_popularity_rank is not None
    ours = {name: estimate.value for name, estimate in ranking.metrics.items()}
    ours[f"coverage@{K}"] = ranking.coverage[K]
    ours[f"gini@{K}"] = ranking.gini[K]
    ours[f"mean_popularity_rank@{K}"] = ranking.mean_popularity_rank[K]
    assert test.targets is not None
    lists = {}
    targets = {}
    popular = {}
    for row, user in enumerate(ranking.users.tolist()):
        lists[str(user)] = ranking.top[row].tolist()
        targets[str(user)] = test.targets[user].indices.tolist()
        seen = set(test.matrix[user].indices.tolist())
        popular[str(user)] = [item for item in facts.popular_first.tolist() if item not in seen][:K]
    case = {
        "k": K,
        "items": len(opened.items),
        "lists": lists,
        "targets": targets,
        "popular": popular,
        "train": [train.matrix[user].indices.tolist() for user in range(len(train))],
        "vectors": None if facts.vectors is None else facts.vectors.tolist(),
    }
    return case, ours


def ask_peers(python: str, case: Case) -> dict[str, dict[str, float]]:
    """Measures a case by the libraries of another interpreter, by library and metric."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "case.json"
        asked.write_text(json.dumps(case), encoding="utf-8")
        answer = Path(folder) / "answer.json"
        command = [python, str(Path(__file__).resolve()), "--answer", str(asked), str(answer)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the peers did not answer:\n{done.stderr}")
        found: dict[str, dict[str, float]] = json.loads(answer.read_text(encoding="utf-8"))
        return found


def compare(
    ours: Mapping[str, float], theirs: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Puts each metric of theirs beside ours."""
    rows = []
    for library, metrics in theirs.items():
        for name, value in metrics.items():
            meant = MEANT[library][name]
            own = ours.get(meant, ours.get(f"{meant}@{K}"))
            is_same = own is not None and abs(own - value) <= SAME
            rows.append(
                {
                    "library": library,
                    "theirs": name,
                    "value": value,
                    "ours": meant,
                    "own": own,
                    "same": is_same,
                }
            )
    return rows


# In the interpreter of the peers


def rectools(case: Case) -> dict[str, float]:
    """The metrics of RecTools."""
    import pandas as pd
    from rectools import metrics
    from rectools.metrics.distances import PairwiseHammingDistanceCalculator

    k = case["k"]
    listed = [
        (int(user), item, place)
        for user, items in case["lists"].items()
        for place, item in enumerate(items, 1)
        if item >= 0
    ]
    reco = pd.DataFrame(listed, columns=["user_id", "item_id", "rank"])
    truth = pd.DataFrame(_pairs(case["targets"]), columns=["user_id", "item_id"])
    before = pd.DataFrame(_train_pairs(case), columns=["user_id", "item_id"])
    catalog = list(range(case["items"]))
    found = {
        "Recall": metrics.Recall(k).calc(reco, truth),
        "Precision": metrics.Precision(k).calc(reco, truth),
        "HitRate": metrics.HitRate(k).calc(reco, truth),
        "MRR": metrics.MRR(k).calc(reco, truth),
        "MAP": metrics.MAP(k).calc(reco, truth),
        "MAP(divide_by_k=True)": metrics.MAP(k, divide_by_k=True).calc(reco, truth),
        "NDCG": metrics.NDCG(k).calc(reco, truth),
        "NDCG(divide_by_achievable=True)": metrics.NDCG(k, divide_by_achievable=True).calc(
            reco, truth
        ),
        "MeanInvUserFreq": metrics.MeanInvUserFreq(k).calc(reco, before),
        "Serendipity": metrics.Serendipity(k).calc(reco, truth, before, catalog),
        "CatalogCoverage(normalize=True)": metrics.CatalogCoverage(k, normalize=True).calc(
            reco, catalog
        ),
        "AvgRecPopularity": metrics.AvgRecPopularity(k).calc(reco, before),
        "PartialAUC": metrics.PartialAUC(k, insufficient_handling="ignore").calc(reco, truth),
    }
    if case["vectors"] is not None:
        genres = pd.DataFrame(case["vectors"], index=catalog)
        distances = PairwiseHammingDistanceCalculator(genres)
        diversity = metrics.IntraListDiversity(k, distance_calculator=distances)
        found["IntraListDiversity(Hamming, genres)"] = diversity.calc(reco)
    return found


def ranx(case: Case) -> dict[str, float]:
    """The metrics of ranx."""
    from ranx import Qrels, Run, evaluate

    k = case["k"]
    qrels = {}
    run = {}
    for user, items in case["lists"].items():
        qrels[user] = {str(item): 1 for item in case["targets"][user]}
        run[user] = {str(item): float(k - place) for place, item in enumerate(items) if item >= 0}
    names = [f"{name}@{k}" for name in MEANT["ranx"]]
    found = evaluate(Qrels(qrels), Run(run), names)
    return {name: found[f"{name}@{k}"] for name in MEANT["ranx"]}


def replay(case: Case) -> dict[str, float]:
    """The metrics of RePlay."""
    import numpy as np
    from replay import metrics

    k = case["k"]

    def scored(lists: Lists) -> dict[int, list[tuple[int, float]]]:
        return {
            int(user): [(item, float(k - place)) for place, item in enumerate(items) if item >= 0]
            for user, items in lists.items()
        }

    lists = scored(case["lists"])
    truth = {int(user): items for user, items in case["targets"].items()}
    train = dict(enumerate(case["train"]))
    found = {}
    for name in ("Recall", "Precision", "HitRate", "MRR", "MAP", "NDCG", "RocAuc"):
        (found[name],) = getattr(metrics, name)(k)(lists, truth).values()
    (found["Surprisal"],) = metrics.Surprisal(k)(lists, train).values()
    found["Surprisal x log2(users)"] = found["Surprisal"] * float(np.log2(len(train)))
    base = scored(case["popular"])
    (found["Unexpectedness"],) = metrics.Unexpectedness(k)(lists, base).values()
    (found["Coverage"],) = metrics.Coverage(k)(lists, train).values()
    return found


def lenskit(case: Case) -> dict[str, float]:
    """The metrics of LensKit."""
    import numpy as np
    import pandas as pd
    from lenskit.data import ItemList, from_interactions_df
    from lenskit.metrics import ranking

    k = case["k"]
    lists = {}
    tests = {}
    for user, items in case["lists"].items():
        kept = [item for item in items if item >= 0]
        lists[user] = ItemList(item_ids=np.array(kept, np.int64), ordered=True)
        tests[user] = ItemList(item_ids=np.array(case["targets"][user], np.int64))
    train = pd.DataFrame(_train_pairs(case), columns=["user_id", "item_id"])
    data = from_interactions_df(train)
    whole = ranking.ListGini(n=k, items=case["items"])
    wanted = {
        "Recall": ranking.Recall(n=k),
        "Precision": ranking.Precision(n=k),
        "Hit": ranking.Hit(n=k),
        "RecipRank": ranking.RecipRank(n=k),
        "AveragePrecision": ranking.AveragePrecision(n=k),
        "NDCG": ranking.NDCG(n=k),
        "NDCG(weight=LogRankWeight(offset=1))": ranking.NDCG(
            n=k, weight=ranking.LogRankWeight(offset=1)
        ),
        "MeanPopRank": ranking.MeanPopRank(data, n=k),
    }
    found = {}
    for name, metric in wanted.items():
        values = [metric.measure_list(lists[user], tests[user]) for user in lists]
        found[name] = float(np.mean(values))
    parts = [whole.compute_list_data(lists[user], tests[user]) for user in lists]
    found["ListGini"] = float(whole.global_aggregate(parts))
    return found


def _pairs(lists: Lists) -> list[tuple[int, int]]:
    return [(int(user), item) for user, items in lists.items() for item in items]


def _train_pairs(case: Case) -> list[tuple[int, int]]:
    """The interactions of training users, who are others than those of the lists."""
    return [(-1 - user, item) for user, items in enumerate(case["train"]) for item in items]


def answer(asked: Path, to: Path) -> None:
    """Measures a case by all four libraries."""
    case = json.loads(asked.read_text(encoding="utf-8"))
    found = {
        "RecTools": rectools(case),
        "ranx": ranx(case),
        "RePlay": replay(case),
        "LensKit": lenskit(case),
    }
    plain = {
        library: {name: float(value) for name, value in metrics.items()}
        for library, metrics in found.items()
    }
    to.write_text(json.dumps(plain), encoding="utf-8")


def main() -> None:
    """Compares and prints a row for each metric of theirs."""
    if sys.argv[1:2] == ["--answer"]:
        answer(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    from common import arguments, parser, write

    words = parser(__doc__, threads=1)
    words.add_argument("--peers", required=True, help="an interpreter with the libraries")
    words.add_argument("--data", default="movielens-100k", help="a named set of interactions")
    given = arguments(words)
    case, ours = make_case(given.data)
    theirs = ask_peers(given.peers, case)
    rows = compare(ours, theirs)
    for row in rows:
        sign = "=" if row["same"] else "is not"
        own = "-" if row["own"] is None else f"{row['own']:.6f}"
        print(
            f"{row['library']:<9} {row['theirs']:<37} {row['value']:>10.6f} {sign:<6} "
            f"{row['ours']} {own}"
        )
    write("metric-peers", {"users": len(case["lists"]), "ours": ours, "rows": rows}, given)


if __name__ == "__main__":
    main()
