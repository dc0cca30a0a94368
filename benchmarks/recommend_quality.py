"""The whole family of recommenders on one data set, against the baselines, on the same held-out
users.

    python benchmarks/recommend_quality.py [--data movielens-100k] [--seeds 0 1 2] [--epochs 100]
    [--only NAME ...] [--out FILE]

Strong generalisation (Liang et al. 2018): the users are split anew by each seed, which is also that
of the weights. Every model with choices is fitted with each of them; the one with the best NDCG@100
on the validation users, on average over the seeds, is measured on the test users, once. The linear
method of a blend and its weight are chosen for each seed by its validation users. (`fit`
measures them too, for its summary, which is not looked at.) Figures are means over the seeds; the
standard error is over users, pooled; the last column is the difference in NDCG@100 to EASE on the
same users, with the standard error of the pairs.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lowerbound import fitting as runs
from lowerbound import recipe as recipes
from lowerbound.baselines import Als, Ease, Elsa, GraphFilter, Popularity
from lowerbound.errors import ConfigError
from lowerbound.evaluation.batches import evaluating
from lowerbound.evaluation.ranking import Ranking, difference, rank

METRICS = ["recall@20", "recall_capped@50", "ndcg@100"]
DROPOUT = ["L2Normalize", {"type": "Dropout", "probability": 0.5}]
LIKELIHOODS = {
    "Gaussian": {"type": "Normal", "variance": 0.5},
    "Bernoulli": "Bernoulli",
    "multinomial": "Multinomial",
}
MLP = {"type": "MLP", "hidden": [600], "activation": "tanh", "init": "xavier"}


def annealed(cap: float) -> dict[str, Any]:
    """The KL weight, up to its cap over the first 300 steps."""
    return {"type": "Elbo", "beta": {"type": "Linear", "stop": cap, "steps": 300}}


def plain(kind: str, likelihood: str) -> list[dict[str, Any]]:
    """The settings to choose from of one of the nine models, [I, 600, 200, 600, I]."""
    model = {
        "latent": [200],
        "network": MLP,
        "likelihood": LIKELIHOODS[likelihood],
        "output_bias": "data",
    }
    model["noise"] = DROPOUT if kind != "AE" else ["L2Normalize"]
    if kind != "VAE":
        return [{"model": model | {"posterior": "Delta"}, "objective": {"type": "Reconstruction"}}]
    return [{"model": model, "objective": annealed(cap)} for cap in (0.2, 0.5, 1.0)]


def dense(
    prior: Any, phases: list[dict[str, Any]], gammas: tuple[float, ...], rate: float
) -> list[dict[str, Any]]:
    """The settings to choose from of RecVAE and its relatives: the KL weight by user."""
    model = {
        "latent": [200],
        "network": {"type": "DenseMLP", "width": 600, "layers": 5},
        "decoder_network": {"type": "MLP", "hidden": []},
        "likelihood": "Multinomial",
        "prior": prior,
        "noise": DROPOUT,
        "output_bias": "data",
    }
    training = {"phases": phases, "learning_rate": rate}
    objectives = [{"type": "Elbo", "beta": gamma, "per_entry": True} for gamma in gammas]
    return [
        {"model": model, "objective": objective, "training": training} for objective in objectives
    ]


PHASES = [{"epochs": 3, "trains": "latents"}, {"epochs": 1, "trains": "decoder", "noise": False}]
MODELS = {
    f"{kind} {likelihood}": plain(kind, likelihood)
    for likelihood in LIKELIHOODS
    for kind in ("AE", "DAE", "VAE")
} | {
    "RecVAE": dense("Composite", PHASES, (0.002, 0.005, 0.01), 1e-3),
    "VAE multinomial, dense encoder, KL weight by user": dense(
        "StandardNormal", [], (0.002, 0.005, 0.01, 0.02), 5e-4
    ),
}
PARTNERS = [{"type": "Ease", "l2": l2} for l2 in (60.0, 100.0, 200.0, 300.0, 500.0)] + [
    {"type": "GraphFilter", "rank": rank_, "scale": scale}
    for rank_ in (64, 256)
    for scale in (0.1, 0.3)
]
BLEND = {"partners": PARTNERS, "weights": [1.0, 2.0, 4.0, 8.0, 16.0]}
MODELS |= {
    f"{name}, blend": [settings | {"blend": BLEND} for settings in MODELS[name]]
    for name in (
        "DAE Bernoulli",
        "DAE multinomial",
        "VAE multinomial",
        "VAE multinomial, dense encoder, KL weight by user",
        "RecVAE",
    )
}
BASELINES = {
    "popularity": [Popularity()],
    "EASE": [Ease(l2) for l2 in (30.0, 60.0, 100.0, 200.0, 300.0, 500.0)],
    "graph filter (GF-CF)": [
        GraphFilter(rank=rank_, scale=scale)
        for rank_ in (32, 64, 128, 256)
        for scale in (0.1, 0.3, 1.0)
    ],
    "ELSA": [
        Elsa(factors=factors, epochs=epochs, batch_size=128, learning_rate=rate)
        for factors in (64, 256)
        for epochs in (10, 30)
        for rate in (0.003, 0.01)
    ],
    "ALS (implicit)": [
        Als(factors=f, regularization=r, alpha=a, iterations=15, seed=0)
        for f in (32, 64)
        for r in (0.1, 10.0)
        for a in (1.0, 5.0)
    ],
}


def recipe(settings: dict[str, Any], data: str, seed: int, epochs: int) -> recipes.Recipe:
    """One of the settings, on the split of one seed."""
    interactions = {"threshold": 4.0, "min_user_items": 5, "split": "strong"}
    training = {"epochs": epochs, "batch_size": 100, "monitor": "ndcg@100", "seed": seed}
    return recipes.parse(
        settings
        | {
            "data": {
                "source": data,
                "validation": 150,
                "test": 150,
                "seed": seed,
                "interactions": interactions,
            }
        }
        | {"training": training | settings.get("training", {}), "report": {"write": False}}
    )


def fitted(
    settings: Any, plan: Any, data: str, seed: int, epochs: int
) -> tuple[float, Callable[[], Ranking], float, Any]:
    """NDCG@100 on the validation users, the ranking of the test users (when asked for), the
    seconds of the fit, and the linear method beside the network.
    """
    partner = None
    dataset, started = plan.data.open(), time.perf_counter()
    if isinstance(settings, dict):
        with tempfile.TemporaryDirectory() as folder:
            run = runs.fit(
                recipe(settings, data, seed, epochs), out=Path(folder) / "run", progress=False
            )
        scorer, module = run.model.item_scores, run.model
        if run.model.partner is not None:
            partner = [run.model.partner.weight, run.model.partner.method]
    else:
        scorer, module = settings.fit(dataset.train.matrix), None
    seconds = time.perf_counter() - started

    def ranked(users: Any, metrics: list[str]) -> Ranking:
        with evaluating(module, 0) if module else nullcontext():
            return rank(scorer, users, metrics=metrics)

    chosen = ranked(dataset.validation, ["ndcg@100"])["ndcg@100"].value
    return chosen, lambda: ranked(dataset.test, METRICS), seconds, partner


def pooled(errors: list[float]) -> float:
    """The standard error of a mean of means."""
    return math.sqrt(sum(e * e for e in errors)) / len(errors)


def row(name: str, rankings: list[Ranking], ease: list[Ranking] | None) -> str:
    """A line of the table."""
    cells = [name]
    for metric in METRICS:
        found = [r[metric] for r in rankings]
        cells.append(
            f"{sum(f.value for f in found) / len(found):.4f} ± "
            f"{pooled([f.standard_error for f in found]):.4f}"
        )
    if ease:
        pairs = [difference(a, b, "ndcg@100") for a, b in zip(rankings, ease, strict=True)]
        cells.append(
            f"{sum(p.value for p in pairs) / len(pairs):+.4f} ± "
            f"{pooled([p.standard_error for p in pairs]):.4f}"
        )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Fits everything and prints the table as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="movielens-100k")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    ease: list[Ranking] | None = None
    results: dict[str, Any] = {}
    print(
        f"| model | {' | '.join(METRICS)} | NDCG@100 to EASE | chosen "
        f"|\n|---|{'---|' * (len(METRICS) + 2)}",
        flush=True,
    )
    plans = {
        seed: recipe(MODELS["VAE multinomial"][0], given.data, seed, given.epochs)
        for seed in given.seeds
    }
    for name, choices in sorted((BASELINES | MODELS).items(), key=lambda pair: pair[0] != "EASE"):
        if given.only and name not in given.only:
            continue
        try:
            tried = [
                [fitted(c, plans[s], given.data, s, given.epochs) for s in given.seeds]
                for c in choices
            ]
        except ConfigError as error:
            print(f"| {name} | {error} |", flush=True)
            continue
        scores = [sum(found[0] for found in runs_) / len(runs_) for runs_ in tried]
        best = max(range(len(choices)), key=scores.__getitem__)
        rankings = [found[1]() for found in tried[best]]
        ease = rankings if name == "EASE" else ease
        if isinstance(choices[best], dict):
            chosen = [choices[best]["objective"], *(found[3] for found in tried[best] if found[3])]
        else:
            chosen = str(choices[best])
        print(row(name, rankings, ease)[:-1] + f"| {json.dumps(chosen)} |", flush=True)
        results[name] = {
            "test": {m: [r[m]._asdict() for r in rankings] for m in METRICS},
            "validation": scores,
            "chosen": chosen,
            "partners": [found[3] for found in tried[best]],
            "seconds": [found[2] for found in tried[best]],
        }
    if given.out:
        given.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
