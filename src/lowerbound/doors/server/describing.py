"""What is told of a run: its recipe, its figures, its data, its latents, and what it can do."""

from typing import Any

from ...columns import ColumnSchema
from ...run.caveats import tell_conditions, units
from ...run.display import describe_model, source_name
from ...system.files import jsonable
from .served import QUANTILES, Served

CAN = {
    "images": ["encode", "decode", "sample", "reconstruct", "score", "similar"],
    "vectors": ["encode", "decode", "sample", "reconstruct", "score", "similar"],
    "table": ["encode", "decode", "sample", "reconstruct", "score", "similar"],
    "recommender": ["encode", "recommend", "items", "similar"],
}
"""What may be asked of runs of each kind."""


def abilities(served: Served) -> list[str]:
    """Lists what may be asked of a run."""
    able = list(CAN[served.kind])
    if "similar" in able and served.kind != "recommender" and not served.has_data:
        able.remove("similar")
    if served.run.schema.table and served.run.recipe.objective.has_bound:
        able.append("impute")
    if "score" in able and not served.run.recipe.objective.has_bound:
        able.remove("score")
    return able


def describe_in_line(served: Served) -> dict[str, Any]:
    """Describes a run in a line of the list of runs."""
    run = served.run
    items = None
    if run.items is not None:
        items = len(run.items.ids)
    return {
        "name": served.name,
        "kind": served.kind,
        "title": served.title,
        "source": source_name(run.recipe),
        "conditional": bool(run.schema.given),
        "items": items,
    }


def describe(served: Served) -> dict[str, Any]:
    """Describes all of a run. It is called in the thread that owns the models."""
    run = served.run
    schema = run.schema
    facts = run.facts()
    caveats = [run.unfinished, units(schema), tell_conditions(schema)]
    splits = {}
    if served.has_data:
        splits = served.data.sizes
    return describe_in_line(served) | {
        "folder": str(run.folder),
        "model": describe_model(run.recipe),
        "recipe_text": run.recipe.to_toml(),
        "recipe": jsonable(run.recipe.describe()),
        "facts": [list(fact) for fact in facts],
        "summary": jsonable(run.summary),
        "shape": list(schema.shape),
        "value_levels": schema.levels,
        "columns": _columns_of(served),
        "conditions": [_column(column) for column in schema.given],
        "levels": _levels(served),
        "has_data": served.has_data,
        "has_likelihood": served.kind != "recommender" and run.recipe.objective.has_bound,
        "splits": splits,
        "caveats": [caveat for caveat in caveats if caveat],
        "can": abilities(served),
    }


def _columns_of(served: Served) -> list[dict[str, Any]]:
    """Describes the columns of a table."""
    schema = served.run.schema
    if schema.table:
        return [_column(column) for column in schema.table]
    described = []
    for name in schema.columns:
        described.append(_column(ColumnSchema(name)) | {"low": None, "high": None})
    return described


def _column(column: ColumnSchema) -> dict[str, Any]:
    """Describes a column of a table, or a condition."""
    low: float | None = None
    high: float | None = None
    if column.is_number:
        low = column.low
        high = column.high
    return {
        "name": column.name,
        "kind": column.kind,
        "type": column.type,
        "levels": list(column.levels),
        "low": low,
        "high": high,
        "decimals": column.decimals,
    }


def _levels(served: Served) -> list[dict[str, Any]]:
    """Describes the levels of latents by quantiles of their posterior means."""
    described = []
    for level, quantiles in enumerate(served.quantiles):
        described.append(
            {
                "level": level,
                "dimensions": len(quantiles),
                "ranks": list(QUANTILES),
                "quantiles": quantiles.tolist(),
            }
        )
    return described
