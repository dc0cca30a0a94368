"""The whole family of recommenders on one data set, against the baselines, on the same held-out
users.

    python benchmarks/recommend_quality.py [--data movielens-100k] [--seeds 0 1 2] [--epochs 100]
    [--split strong|given] [--only NAME ...] [--out FILE]

Strong generalisation (Liang et al. 2018): the users are split anew by each seed, which is also that
of the weights. Every model with choices is fitted with each of them; the one with the best NDCG@100
on the validation users, on average over the seeds, is measured on the test users, once. The linear
method of a blend and its weight are chosen for each seed by its validation users. (`fit`
measures them too, for its summary, which is not looked at.) Figures are means over the seeds; the
standard error is over users, pooled; the last column is the difference in NDCG@100 to EASE on the
same users, with the standard error of the pairs.

With `--split given` the test part is that of the source, a tenth of the training part is validation
(cut by each seed), and what was chosen is fitted once more to the whole training part: networks for
as many epochs as were best, with the linear method that was chosen. The test users of all seeds are
the same, and so the standard error is the mean of theirs.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowerbound import fitting as runs
from lowerbound import recipe as recipes
from lowerbound.baselines import Als, Ease, Elsa, GraphFilter, Popularity
from lowerbound.errors import ConfigError
from lowerbound.evaluation.batches import evaluating
from lowerbound.evaluation.ranking import Ranking, difference, rank
from lowerbound.run import Run
from lowerbound.training.blending import known_rows

METRICS = {
    "strong": ["recall@20", "recall_capped@50", "ndcg@100"],
    "given": ["recall@20", "ndcg@100", "ndcg@20"],
}
PATIENCE = 15
"""Epochs without a better value on the validation users, with `--split given`."""

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
PARTNERS: list[dict[str, Any]] = [
    *({"type": "Ease", "l2": l2} for l2 in (60.0, 100.0, 200.0, 300.0, 500.0)),
    *(
        {"type": "GraphFilter", "rank": rank_, "scale": 0.3, "user_exponent": exponent}
        for rank_ in (64, 256)
        for exponent in (0.3, 0.5)
    ),
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
RECOMMEND = recipes.load("recommend").describe()
MODELS["the recipe recommend"] = [
    {name: RECOMMEND[name] for name in ("model", "objective", "training", "blend")}
]
BASELINES = {
    "popularity": [Popularity()],
    "EASE": [Ease(l2) for l2 in (30.0, 60.0, 100.0, 200.0, 300.0, 500.0)],
    "graph filter (GF-CF)": [
        GraphFilter(rank=rank_, scale=scale)
        for rank_ in (32, 64, 128, 256)
        for scale in (0.1, 0.3, 1.0)
    ],
    "graph filter, exponent of users chosen": [
        GraphFilter(rank=rank_, scale=scale, user_exponent=exponent)
        for rank_ in (32, 64, 128, 256)
        for scale in (0.1, 0.3, 1.0)
        for exponent in (0.1, 0.3, 0.5)
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


@dataclass(frozen=True)
class Protocol:
    """What is fitted to, and how.

    Attributes:
        data: the source.
        split: "strong", or "given".
        epochs: of a network, at most.
    """

    data: str
    split: str
    epochs: int

    @property
    def metrics(self) -> list[str]:
        """What is measured."""
        return METRICS[self.split]

    @property
    def deciding(self) -> str:
        """The metric that decides."""
        return self.metrics[-1]

    def recipe(self, settings: dict[str, Any], seed: int) -> recipes.Recipe:
        """One of the settings, on the split of one seed, to choose by."""
        data: dict[str, Any] = {"source": self.data, "seed": seed}
        if self.split == "strong":
            interactions = {"threshold": 4.0, "min_user_items": 5, "split": "strong"}
            data |= {"validation": 150, "test": 150, "interactions": interactions}
        else:
            data |= {"validation": 0.1, "interactions": {"split": "given"}}
        training: dict[str, Any] = {"epochs": self.epochs, "batch_size": 100, "seed": seed}
        if self.split == "given":
            training["patience"] = PATIENCE
        training |= {"monitor": self.deciding} | settings.get("training", {}) | {"seed": seed}
        plan = settings | {"data": data, "training": training, "report": {"write": False}}
        return recipes.parse(plan)

    def whole(self, settings: dict[str, Any], seed: int, run: Run) -> recipes.Recipe:
        """The same settings on the whole training part, by what was chosen in a run."""
        changes: dict[str, Any] = {
            "data.validation": 0,
            "training.monitor": "objective",
            "training.patience": None,
            "training.epochs": run.summary["best_epoch"],
        }
        partner = run.model.partner
        if partner is not None:
            changes["blend"] = {"partners": [dict(partner.method)], "weights": [partner.weight]}
        elif "blend" in settings:
            changes["blend"] = None
        return self.recipe(settings, seed).replace(changes)


@dataclass(frozen=True)
class Fitted:
    """One of the settings on the split of one seed.

    Attributes:
        value: the deciding metric on the validation users.
        test: ranks the test users, when it is called.
        seconds: of the fit.
        partner: the weight and the settings of the linear method beside a network.
    """

    value: float
    test: Callable[[], Ranking]
    seconds: float
    partner: Any = None


def fit(protocol: Protocol, settings: Any, seed: int) -> Fitted:
    """Fits a network (a table of settings) or a baseline."""
    started = time.perf_counter()
    if isinstance(settings, dict):
        return fit_network(protocol, settings, seed, started)
    data = protocol.recipe({}, seed).data.open()
    scorer = settings.fit(data.train.matrix)
    seconds = time.perf_counter() - started
    value = rank(scorer, data.validation, metrics=[protocol.deciding])[protocol.deciding].value

    def test() -> Ranking:
        final = scorer
        if protocol.split == "given":
            final = settings.fit(known_rows(data))
        return rank(final, data.test, metrics=protocol.metrics)

    return Fitted(value, test, seconds)


def fit_network(protocol: Protocol, settings: Any, seed: int, started: float) -> Fitted:
    """Fits a network, see `fit`."""
    plan = protocol.recipe(settings, seed)
    run = _run(plan)
    seconds = time.perf_counter() - started
    partner = None
    if run.model.partner is not None:
        partner = [run.model.partner.weight, dict(run.model.partner.method)]

    def ranked(run: Run, users: Any, metrics: list[str]) -> Ranking:
        with evaluating(run.model, 0):
            return rank(run.model.item_scores, users, metrics=metrics)

    def test() -> Ranking:
        final = run
        if protocol.split == "given":
            final = _run(protocol.whole(settings, seed, run))
        return ranked(final, plan.data.open().test, protocol.metrics)

    value = ranked(run, plan.data.open().validation, [protocol.deciding])[protocol.deciding].value
    return Fitted(value, test, seconds, partner)


def _run(plan: recipes.Recipe) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        return runs.fit(plan, out=Path(folder) / "run", progress=False)


def pooled(errors: list[float], split: str) -> float:
    """The standard error of a mean of means: over other users, or over the same."""
    if split == "given":
        return sum(errors) / len(errors)
    return math.sqrt(sum(e * e for e in errors)) / len(errors)


def row(protocol: Protocol, name: str, rankings: list[Ranking], ease: list[Ranking] | None) -> str:
    """A line of the table."""
    cells = [name]
    for metric in protocol.metrics:
        cells.append(_cell([ranking[metric] for ranking in rankings], protocol.split))
    if ease:
        pairs = [difference(a, b, protocol.deciding) for a, b in zip(rankings, ease, strict=True)]
        cells.append(_cell(pairs, protocol.split, sign="+"))
    return "| " + " | ".join(cells) + " |"


def _cell(found: list[Any], split: str, sign: str = "") -> str:
    mean = sum(each.value for each in found) / len(found)
    error = pooled([each.standard_error for each in found], split)
    return f"{mean:{sign}.4f} ± {error:.4f}"


def main() -> None:
    """Fits everything and prints the table as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="movielens-100k")
    parser.add_argument("--split", default="strong", choices=list(METRICS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    protocol = Protocol(given.data, given.split, given.epochs)
    ease: list[Ranking] | None = None
    results: dict[str, Any] = {}
    print(
        f"| model | {' | '.join(protocol.metrics)} | {protocol.deciding} to EASE | chosen "
        f"|\n|---|{'---|' * (len(protocol.metrics) + 2)}",
        flush=True,
    )
    for name, choices in sorted((BASELINES | MODELS).items(), key=lambda pair: pair[0] != "EASE"):
        if given.only and name not in given.only:
            continue
        try:
            tried = [[fit(protocol, choice, seed) for seed in given.seeds] for choice in choices]
        except ConfigError as error:
            print(f"| {name} | {error} |", flush=True)
            continue
        scores = [sum(found.value for found in runs_) / len(runs_) for runs_ in tried]
        best = max(range(len(choices)), key=scores.__getitem__)
        rankings = [found.test() for found in tried[best]]
        if name == "EASE":
            ease = rankings
        partners = [found.partner for found in tried[best] if found.partner]
        chosen = [str(choices[best])]
        if isinstance(choices[best], dict):
            chosen = [choices[best]["objective"], *partners]
        print(row(protocol, name, rankings, ease)[:-1] + f"| {json.dumps(chosen)} |", flush=True)
        results[name] = {
            "test": {m: [r[m]._asdict() for r in rankings] for m in protocol.metrics},
            "validation": scores,
            "chosen": chosen,
            "seconds": [found.seconds for found in tried[best]],
        }
        if given.out:
            given.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
