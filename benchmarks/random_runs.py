"""Runs of packaged recipes with random weights, on data of which only the schema is there: a file
that computes what they do is right, whatever they were fitted to.
"""

from pathlib import Path

import numpy as np
import torch

from lowerbound import recipe
from lowerbound.columns import ColumnSchema
from lowerbound.data import Items, Schema
from lowerbound.run import Run, build

ITEMS = 300

LABEL = ColumnSchema("label", "categorical", "integer", tuple("0123456789"), shares=(0.1,) * 10)


def quantiles(low, high, power=1.0):
    """The quantiles of a column, and those of its tails."""
    steps = low + (high - low) * np.linspace(0, 1, 65) ** power
    return {
        "low": float(low),
        "high": float(high),
        "quantiles": tuple(steps.tolist()),
        "tails": tuple(steps[[0, 1, 2, -3, -2, -1]].tolist()),
    }


def levels(count):
    return {"levels": tuple(map(str, range(count))), "shares": (1 / count,) * count}


COLUMNS = (
    ColumnSchema("few", "real", mean=1.0, scale=2.0, observed=100, **quantiles(-3, 5)),
    ColumnSchema("many", "real", mean=1.0, scale=2.0, observed=30_000, **quantiles(-3, 5)),
    ColumnSchema(
        "price",
        "positive",
        decimals=2,
        mean=0.5,
        scale=1.0,
        observed=1000,
        atoms=(0.0,),
        shares=(0.2,),
        **quantiles(0.1, 20, 3),
    ),
    ColumnSchema(
        "children",
        "count",
        "integer",
        mean=1.0,
        scale=0.5,
        observed=300,
        atoms=(0.0,),
        shares=(0.3,),
        low=0.0,
        high=9.0,
        quantiles=tuple(np.round(np.linspace(0, 9, 65)).tolist()),
        tails=(0.0, 0.0, 0.0, 8.0, 9.0, 9.0),
    ),
    ColumnSchema("town", "categorical", "text", observed=300, **levels(3)),
    ColumnSchema("grade", "ordinal", "text", observed=300, **levels(5)),
    ColumnSchema("member", "binary", "text", observed=300, **levels(2)),
    ColumnSchema(
        "since",
        "datetime",
        "date",
        mean=18_000.0,
        scale=100.0,
        observed=300,
        **quantiles(17_800, 18_300),
    ),
)
"""A column of each kind; of the first four several families."""


def schema_of(name, plan):
    """The schema of such data as a recipe is for."""
    if name == "digits":
        return Schema((1, 8, 8), "image", 17, 0, 1)
    is_log = plan.data.source == "synthetic-interactions" or plan.data.interactions is not None
    if is_log:
        return Schema((ITEMS,), "interactions", 2, 0, 1)
    if name == "table":
        names = tuple(column.name for column in COLUMNS)
        return Schema((len(COLUMNS),), "table", None, -5, 5, names, table=COLUMNS)
    shapes = {
        "aevb-freyfaces": (1, 28, 20),
        "images": (3, 20, 24),
        "images-large": (3, 64, 64),
        "ladder-cifar-part": (3, 32, 32),
    }
    levels_of_pixels = 256
    if plan.data.binarize != "none":
        levels_of_pixels = 2
    given = ()
    if plan.data.given:
        given = (LABEL,)
    return Schema(shapes.get(name, (1, 28, 28)), "image", levels_of_pixels, 0, 1, given=given)


def random_run(name, schema=None, **settings):
    """A run of a packaged recipe whose weights are random, also those that start at zero."""
    plan = recipe.load(name).replace(settings)
    if schema is None:
        schema = schema_of(name, plan)
    torch.manual_seed(0)
    model = build(plan, schema)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    items = None
    if schema.is_sparse:
        ids = np.array([f"i{number}" for number in range(schema.shape[0])])
        items = Items(ids, [f"Film {number}" for number in range(schema.shape[0])])
    return Run(Path("no-such-run"), plan, schema, model, {}, items)
