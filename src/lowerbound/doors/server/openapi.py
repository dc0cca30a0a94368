"""The OpenAPI document, in which every run has paths of its own.

The handlers are written for any run. What a request may hold depends on the run, though: the size
of its images, its columns, its items. So the document has each path once for every run that can
answer it, with the schema of that run.
"""

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ...data import Schema
from ...recommend.expressions import LONGEST
from .inputs import MOST_EXAMPLES
from .problems import ProblemDetails
from .routes.codes import MOST_CODE
from .routes.recommend import MOST_BOOSTS, MOST_ITEMS, MOST_NATS
from .routes.tensors import DECODER, MOST_NUMBER, Model, is_of_tensors
from .served import Served, Shelf

NAMED = "/runs/{name}"
"""The paths of one run begin so in the handlers."""

TENSORS = "/v2/models/{model}"
"""The paths of one model of the Open Inference Protocol begin so."""

KINDS: dict[str, tuple[str, ...]] = {
    "/encode": ("images", "vectors", "table", "recommender"),
    "/decode": ("images", "vectors", "table"),
    "/sample": ("images", "vectors", "table"),
    "/reconstruct": ("images", "vectors", "table"),
    "/reconstruct/file": ("images", "table"),
    "/score": ("images", "vectors", "table"),
    "/impute": ("table",),
    "/recommend": ("recommender",),
    "/recommend/batch": ("recommender",),
    "/items": ("recommender",),
    "/items/{item}": ("recommender",),
}
"""The kinds of runs that answer at these paths; at others all do."""

Json = dict[str, Any]

CELL: Json = {"type": ["string", "number", "boolean", "null"]}
"""A cell of a table: a level that a column does not know is a gap, and told of."""

NO_CONDITIONS: Json = {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]}
"""What a run without conditions is given."""


def describe_itself(app: FastAPI, shelf: Shelf) -> None:
    """Lets an application describe itself with the paths of each run."""

    def describe() -> Json:
        if not app.openapi_schema:
            app.openapi_schema = _describe(app, shelf)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI, shelf: Shelf) -> Json:
    """Makes the document of an application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    known = document.setdefault("components", {}).setdefault("schemas", {})
    known["ProblemDetails"] = ProblemDetails.model_json_schema()
    paths: Json = {}
    for path, operations in document["paths"].items():
        if path.startswith(NAMED):
            for served in shelf.values():
                if answers(served, path.removeprefix(NAMED)):
                    own = path.replace("{name}", served.name)
                    paths[own] = _of_run(operations, served, path.removeprefix(NAMED))
        elif path.startswith(TENSORS):
            for model in models(shelf):
                own = path.replace("{model}", model.name)
                paths[own] = _of_model(operations, model)
        else:
            paths[path] = operations
    document["paths"] = paths
    return document


def answers(served: Served, path: str) -> bool:
    """Says whether a run answers at a path behind its name."""
    if served.kind not in KINDS.get(path, (served.kind,)):
        return False
    run = served.run
    if path == "/score":
        return bool(run.recipe.objective.has_bound)
    if path == "/similar":
        return served.kind == "recommender" or served.has_data
    if path == "/impute":
        return bool(run.schema.table) and bool(run.recipe.objective.has_bound)
    return True


def models(shelf: Shelf) -> list[Model]:
    """Lists the models of the Open Inference Protocol."""
    found = []
    for name, served in shelf.items():
        if not is_of_tensors(served):
            continue
        found.append(Model(name, served))
        if served.kind != "recommender":
            found.append(Model(name + DECODER, served, True))
    return found


def _without(operations: Json, parameter: str, name: str) -> Json:
    """Returns the operations of a path whose parameter is a name now."""
    own: Json = copy.deepcopy(operations)
    for operation in own.values():
        kept = [each for each in operation.get("parameters", ()) if each["name"] != parameter]
        operation["parameters"] = kept
        identifier = operation.get("operationId", "")
        operation["operationId"] = f"{identifier}-{name}"
    return own


def _of_run(operations: Json, served: Served, path: str) -> Json:
    """Returns the operations of a path as one run has them."""
    own = _without(operations, "name", served.name)
    schema = None
    if "post" in own:
        schema = body_of(served, path)
    if served.kind != "images":
        _without_pictures(own)
    if schema is not None:
        own["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
    return own


def _without_pictures(operations: Json) -> None:
    """Leaves out that an answer may be a picture."""
    for operation in operations.values():
        operation["responses"]["200"]["content"].pop("image/png", None)
        for parameter in operation["parameters"]:
            if parameter["name"] == "format":
                parameter["schema"] = {"type": "string", "enum": ["json"]}


def _of_model(operations: Json, model: Model) -> Json:
    """Returns the operations of a path as one model has them."""
    own = _without(operations, "model", model.name)
    if "post" in own:
        schema = tensors_of(model)
        own["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
    return own


def an_object(properties: Json, *required: str) -> Json:
    """Describes an object of these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def a_list(items: Json, least: int = 0, most: int | None = None) -> Json:
    """Describes a list."""
    described: Json = {"type": "array", "items": items, "minItems": least}
    if most is not None:
        described["maxItems"] = most
    return described


def numbers(*lengths: int, of: Json | None = None) -> Json:
    """Describes nested lists of numbers, of these lengths from outside to inside."""
    described: Json = of or {"type": "number"}
    for length in reversed(lengths):
        described = a_list(described, length, length)
    return described


def body_of(served: Served, path: str) -> Json | None:
    """Describes the body of a request to a run; None where any run is asked alike."""
    seed = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    given = conditions_of(served.run.schema)
    examples = {"anyOf": [a_list(form, 1, MOST_EXAMPLES) for form in forms_of(served)]}
    needed = ["examples"]
    if served.run.schema.given and not served.run.schema.columns:
        needed.append("given")
    if path == "/encode" and served.kind == "recommender":
        return an_object({"examples": examples, "given": given}, "examples")
    if path == "/encode":
        return an_object({"examples": examples, "given": given}, *needed)
    if path in ("/reconstruct", "/score"):
        samples = {"type": ["integer", "null"], "minimum": 1, "maximum": 1000}
        body = {"examples": examples, "given": given, "samples": samples, "seed": seed}
        return an_object(body, *needed)
    if path == "/decode":
        return _decode_body(served, given)
    if path == "/sample":
        body = {
            "n": {"type": "integer", "minimum": 1, "maximum": MOST_EXAMPLES},
            "seed": seed,
            "temperature": {"type": "number", "exclusiveMinimum": 0, "maximum": 10},
            "mean": {"type": ["boolean", "null"]},
            "given": given,
        }
        return an_object(body)
    if path == "/impute":
        body = {
            "rows": a_list(row_of(served.run.schema), 1, MOST_EXAMPLES),
            "multiple": {"type": "integer", "minimum": 0, "maximum": 20},
            "samples": {"type": "integer", "minimum": 1, "maximum": 1000},
            "mode": {"type": "string", "enum": ["mean", "median"]},
            "seed": seed,
        }
        return an_object(body, "rows")
    if path == "/recommend":
        more = {"explain": {"type": "boolean"}, "given": given}
        by_history = _limits_with(served, {"history": history_of(served)} | more)
        if not served.has_data:
            return by_history
        user = {"type": ["string", "integer"]}
        return {"anyOf": [by_history, _limits_with(served, {"user": user} | more)]}
    if path == "/similar":
        rows = {"type": "integer"}
        to = {"anyOf": [*forms_of(served), rows]}
        if served.kind == "recommender":
            to = item_of(served)
        k = {"type": "integer", "minimum": 1, "maximum": 1000}
        return an_object({"to": to, "k": k}, "to")
    if path == "/recommend/batch":
        histories = a_list(history_of(served), 1, MOST_EXAMPLES)
        return _limits_with(served, {"histories": histories, "given": given})
    return None


def _limits_with(served: Served, properties: Json) -> Json:
    """Describes the body of a request for lists."""
    items = a_list(item_of(served), 0, 10_000)
    some = a_list(item_of(served), 1, 10_000)
    limits = {
        "k": {"type": "integer", "minimum": 1, "maximum": 1000},
        "allow": {"anyOf": [some, {"type": "null"}]},
        "deny": items,
        "exclude_seen": {"type": "boolean"},
        "where": {"anyOf": [_condition(), {"type": "null"}]},
        "boost": a_list({"anyOf": _boosts(some)}, 0, MOST_BOOSTS),
        "less_popular": {"type": "number", "minimum": 0, "maximum": 100},
        "at_most": {"anyOf": [_at_most(served), {"type": "null"}]},
        "diversity": {"type": "number", "minimum": 0, "maximum": 1},
    }
    return an_object(properties | limits, next(iter(properties)))


def _condition() -> Json:
    """Describes a condition on the columns of items."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST,
        "description": "As SQL has it behind WHERE, such as: year > 1990 AND genres LIKE '%War%'",
    }


def _boosts(items: Json) -> list[Json]:
    """Describes the forms of a boost, of some items or by a condition."""
    nats = {"type": "number", "minimum": -MOST_NATS, "maximum": MOST_NATS}
    by_condition = an_object({"where": _condition(), "nats": nats}, "where", "nats")
    return [by_condition, an_object({"items": items, "nats": nats}, "items", "nats")]


def _at_most(served: Served) -> Json:
    """Describes how many items of each group there may be."""
    count = {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS}
    columns = {"enum": served.recommender.table.columns}
    return an_object({"n": count, "per": columns}, "n", "per")


def forms_of(served: Served) -> list[Json]:
    """Describes the forms that an example of a run may have; those of one request have one form."""
    schema = served.run.schema
    if served.kind == "recommender":
        return [{"anyOf": [a_list(item_of(served)), _weights()]}]
    if served.kind == "images":
        channels, height, width = schema.shape
        lengths: tuple[int, ...] = (channels, height, width)
        if channels == 1:
            lengths = (height, width)
        if schema.levels is None:
            return [numbers(*lengths)]
        share = {"type": "number", "minimum": 0, "maximum": 1}
        greatest = schema.levels - 1
        if schema.levels == 2:
            greatest = 255
        level = {"type": "integer", "minimum": 0, "maximum": greatest}
        return [numbers(*lengths, of=level), numbers(*lengths, of=share)]
    if schema.columns:
        return [row_of(schema)]
    return [numbers(*schema.shape)]


def row_of(schema: Schema) -> Json:
    """Describes a row of a table; a column that is left out is a gap."""
    return an_object(dict.fromkeys((*schema.columns, *schema.names_of_conditions), CELL))


def conditions_of(schema: Schema) -> Json:
    """Describes the conditions of a run."""
    if not schema.given:
        return NO_CONDITIONS
    properties: Json = {}
    for column in schema.given:
        properties[column.name] = {"type": ["number", "null"]}
        if column.levels:
            words: list[Any] = [*column.levels, None]
            properties[column.name] = {"enum": words}
    return an_object(properties, *properties)


def item_of(served: Served) -> Json:
    """Describes an item: by its id or its title. One that is not known is not found."""
    known = served.run.items
    assert known is not None
    first = known.ids[:50].tolist()
    return {"anyOf": [{"enum": first}, {"type": ["string", "integer", "number"]}]}


def _weights() -> Json:
    """Describes a history with weights."""
    weight: Json = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}
    return {"type": "object", "additionalProperties": weight}


def history_of(served: Served) -> Json:
    """Describes a history of one item or more; it may be empty where that gives popular items."""
    least = int(not served.recommender.knows_popular)
    weights = _weights() | {"minProperties": least, "maxProperties": 10_000}
    return {"anyOf": [a_list(item_of(served), least, 10_000), weights]}


def _decode_body(served: Served, given: Json) -> Json:
    """Describes values of latents: of one level, or of all."""
    sizes = served.run.model.latents.sizes
    number = {"type": "number", "minimum": -MOST_CODE, "maximum": MOST_CODE}
    needed = []
    if served.run.schema.given:
        needed.append("given")
    forms = []
    for level, size in enumerate(sizes):
        vector = numbers(size, of=number)
        z = {"anyOf": [vector, a_list(vector, 1, MOST_EXAMPLES)]}
        properties = {"z": z, "level": {"enum": [level]}, "given": given}
        required = ["z", *needed]
        if level:
            required.append("level")
        forms.append(an_object(properties, *required))
    if len(set(sizes)) == 1:
        vector = numbers(sizes[0], of=number)
        levels = a_list(vector, len(sizes), len(sizes))
        forms.append(an_object({"levels": levels, "given": given}, "levels", *needed))
    return {"anyOf": forms}


def tensors_of(model: Model) -> Json:
    """Describes a request of the Open Inference Protocol, of one example."""
    inputs = []
    for facts in model.inputs():
        shape = [1, *(3 if length == -1 else length for length in facts.shape[1:])]
        count = 1
        for length in shape:
            count *= length
        number: Json = {"type": "number", "minimum": -MOST_NUMBER, "maximum": MOST_NUMBER}
        if facts.datatype == "INT64":
            width = model.served.run.schema.shape[0]
            number = {"type": "integer", "minimum": 0, "maximum": width - 1}
        properties = {
            "name": {"enum": [facts.name]},
            "shape": {"enum": [shape]},
            "datatype": {"enum": [facts.datatype]},
            "parameters": {"type": ["object", "null"]},
            "data": numbers(count, of=number),
        }
        inputs.append(an_object(properties, "name", "shape", "datatype", "data"))
    k = {"type": "integer", "minimum": 1, "maximum": 1000}
    output = an_object(
        {"name": {"type": "string"}, "parameters": {"type": ["object", "null"]}}, "name"
    )
    body: Json = {
        "id": {"type": ["string", "null"]},
        "parameters": {"anyOf": [{"type": "object", "properties": {"k": k}}, {"type": "null"}]},
        "inputs": a_list(inputs[0], 1, 1),
        "outputs": {"anyOf": [a_list(output, 1, 64), {"type": "null"}]},
    }
    if len(inputs) > 1:
        body["inputs"] = {"type": "array", "minItems": len(inputs), "items": {"anyOf": inputs}}
    return an_object(body, "inputs")
