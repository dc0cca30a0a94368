"""What an exported file says of itself: texts by name, which ONNX calls metadata."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ... import __version__
from ...data import Schema
from ...run import Run, digest_of
from ...system.files import is_file, jsonable
from .graphs import Graph

PREFIX = "lowerbound."
"""The names of all texts begin so."""

CHUNK = 2**20
"""Bytes of a file that are hashed at a time."""


def describe(run: Run, graph: Graph, what: str) -> dict[str, str]:
    """Returns the texts that stand in an exported file; lists and tables are JSON.

    Args:
        run: the run.
        graph: what is exported of it.
        what: the name of that.
    """
    facts: dict[str, Any] = {
        "version": __version__,
        "what": what,
        "title": run.recipe.about.title,
        "kind": run.schema.kind,
        "inputs": [port.describe() for port in graph.takes],
        "outputs": [port.describe() for port in graph.gives],
        **_of_schema(run.schema),
        **_of_items(run),
        "fingerprints": _fingerprints(run.folder),
    }
    texts = {}
    for name, value in facts.items():
        if not isinstance(value, str):
            value = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)
        texts[PREFIX + name] = value
    return texts


def _of_schema(schema: Schema) -> dict[str, Any]:
    """Returns what is to be known of raw rows."""
    facts: dict[str, Any] = {}
    if schema.levels is not None and not schema.is_sparse:
        facts["levels"] = schema.levels
    if schema.table:
        facts["columns"] = _columns(schema.table)
    elif schema.columns:
        facts["columns"] = [{"name": name} for name in schema.columns]
    if schema.given:
        facts["conditions"] = _columns(schema.given)
    return facts


def _columns(columns: Any) -> list[dict[str, Any]]:
    """Describes columns: names, kinds, and the levels in the order of their positions."""
    described = []
    for column in columns:
        facts: dict[str, Any] = {"name": column.name, "kind": column.kind}
        if column.levels:
            facts["levels"] = list(column.levels)
        if column.kind == "datetime":
            facts["unit"] = "days since 1970-01-01"
        described.append(facts)
    return described


def _of_items(run: Run) -> dict[str, Any]:
    """Returns the ids and the titles of items in the order of their positions."""
    if run.items is None:
        return {}
    facts: dict[str, Any] = {"items": run.items.ids.tolist()}
    if run.items.titles is not None:
        facts["titles"] = run.items.titles
    return facts


def _fingerprints(folder: Path) -> dict[str, str]:
    """Returns what tells what the file was made of: digests of the data and of the weights."""
    found = {}
    if is_file(folder / "data.json"):
        digest = digest_of(folder)
        if digest is not None:
            found["data_sha256"] = digest
    weights = folder / "model.safetensors"
    if is_file(weights):
        found["model_sha256"] = _digest_of_file(weights)
    return found


def _digest_of_file(path: Path) -> str:
    """Returns the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
