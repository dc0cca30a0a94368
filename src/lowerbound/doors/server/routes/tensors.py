"""The Open Inference Protocol, version 2: tensors in, tensors out, in JSON.

https://github.com/open-inference/open-inference-protocol. A run on images, vectors or a table of
numbers is the model of its name: x as the model sees it -> the means of all levels z0, z1 ... and
of p(x | z); and NAME-decoder: z0, z1 ... -> the mean. A recommender takes items as columns of its
catalogue, padded by -1. Conditional runs, and those on tables with columns of several kinds, are no
models of this protocol.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from .... import __version__
from ....batch import Batch
from ....recommend import ListRequest
from ..current import Runs
from ..inputs import EXACT, MOST_EXAMPLES, WHOLE
from ..outputs import Answer
from ..problems import Problem
from ..served import Served, Shelf

general: APIRouter = APIRouter(prefix="/v2", tags=["tensors"])

DECODER = "-decoder"
"""The names of models that decode end so."""

LONGEST_HISTORY = 2000
"""A padded history may have so many columns."""

MOST_ITEMS = 1000
"""A list may have so many items."""

BEYOND = 2e30
"""Numbers are brought to this before they are converted."""

MOST_NUMBER = 1e30
"""Numbers are at most so large."""

TYPES: dict[str, Any] = {"FP32": np.float32, "INT64": np.int64}
"""The types of tensors that are taken and given."""


class Tensor(BaseModel):
    """A tensor of a request; its data nested, or flat in the order of rows."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")
    name: Annotated[str, Field(max_length=100)]
    shape: Annotated[list[Annotated[int, Field(ge=1), WHOLE]], Field(min_length=1, max_length=4)]
    datatype: Annotated[str, Field(pattern="^(FP32|INT64)$")]
    parameters: dict[str, Any] | None = None
    data: list[Any]


class Wanted(BaseModel):
    """An output that is wanted."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")
    name: str
    parameters: dict[str, Any] | None = None


class InferBody(BaseModel):
    """A request of inference."""

    model_config: ClassVar[ConfigDict] = ConfigDict(**EXACT, extra="forbid")
    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: Annotated[list[Tensor], Field(min_length=1, max_length=64)]
    outputs: Annotated[list[Wanted], Field(min_length=1, max_length=64)] | None = None


class TensorFacts(BaseModel):
    """What is known of a tensor; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelFacts(BaseModel):
    """What is known of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorFacts]
    outputs: list[TensorFacts]


class InferredTensor(TensorFacts):
    """A tensor of an answer, its data flat in the order of rows."""

    data: list[float | int | None]


class InferAnswer(BaseModel):
    """An answer of inference."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferredTensor]


class ServerFacts(BaseModel):
    """What is known of the server."""

    name: str
    version: str
    extensions: list[str]


class Liveness(BaseModel):
    """Whether the server lives."""

    live: bool


class ServerReadiness(BaseModel):
    """Whether the server is ready."""

    ready: bool


class ModelReadiness(ServerReadiness):
    """Whether a model is ready."""

    name: str


def is_of_tensors(served: Served) -> bool:
    """Says whether all that a run takes are tensors: it has no conditions and no words."""
    return not served.run.schema.given and not served.run.schema.table


@dataclass(frozen=True)
class Model:
    """One model of the protocol.

    Attributes:
        name: in paths.
        served: the run.
        decodes: whether it decodes.
    """

    name: str
    served: Served
    decodes: bool = False

    @classmethod
    def find(cls, runs: Shelf, name: str) -> "Model":
        """Finds a model.

        Raises:
            Problem: there is none of this name, or its inputs are no tensors.
        """
        decodes = name not in runs and name.endswith(DECODER)
        of_run = name
        if decodes:
            of_run = name.removesuffix(DECODER)
        served = runs.find(of_run)
        if decodes:
            served.refuse_kinds("recommender")
        if not is_of_tensors(served):
            raise Problem(
                404,
                f"{name} has conditions, or columns of several kinds, which are no tensors: "
                f"/runs/{served.name}",
            )
        return cls(name, served, decodes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return self.served.run.schema.shape

    def codes(self) -> list[TensorFacts]:
        """Returns what is known of the levels of latents."""
        sizes = self.served.run.model.latents.sizes
        facts = []
        for level, size in enumerate(sizes):
            facts.append(TensorFacts(name=f"z{level}", datatype="FP32", shape=[-1, size]))
        return facts

    def inputs(self) -> list[TensorFacts]:
        """Returns what is known of the inputs."""
        if self.served.kind == "recommender":
            return [TensorFacts(name="items", datatype="INT64", shape=[-1, -1])]
        if self.decodes:
            return self.codes()
        return [TensorFacts(name="x", datatype="FP32", shape=[-1, *self.shape])]

    def outputs(self) -> list[TensorFacts]:
        """Returns what is known of the outputs."""
        if self.served.kind == "recommender":
            return [
                TensorFacts(name="items", datatype="INT64", shape=[-1, -1]),
                TensorFacts(name="scores", datatype="FP32", shape=[-1, -1]),
            ]
        mean = TensorFacts(name="mean", datatype="FP32", shape=[-1, *self.shape])
        if self.decodes:
            return [mean]
        return [*self.codes(), mean]

    def infer(self, tensors: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
        """Computes all outputs."""
        if self.served.kind == "recommender":
            return self._recommend(tensors["items"], k)
        run = self.served.run
        if self.decodes:
            zs = [torch.from_numpy(tensors[facts.name]) for facts in self.codes()]
            return {"mean": run.decode_levels(zs, units="model").numpy()}
        batch = Batch(torch.from_numpy(tensors["x"]))
        found = {}
        for level, z in enumerate(run.encode(batch)):
            found[f"z{level}"] = z.numpy()
        found["mean"] = run.reconstruct(batch, units="model").numpy()
        return found

    def _recommend(self, items: np.ndarray, k: int) -> dict[str, np.ndarray]:
        """Recommends to several users; places where nothing is left have -1 and minus infinity."""
        recommender = self.served.recommender
        width = len(recommender.catalogue.ids)
        if items.min(initial=-1) < -1 or items.max(initial=-1) >= width:
            raise Problem(404, f"items: columns from 0 to {width - 1}, or -1, are allowed")
        k = min(k, width)
        columns = np.full((len(items), k), -1, np.int64)
        scores = np.full((len(items), k), -np.inf, np.float32)
        requests = []
        for row in items:
            known = np.unique(row[row >= 0])
            if not len(known):
                raise Problem(409, "items: a history has no item")
            requests.append(ListRequest(known, np.ones(len(known), np.float32), k))
        for row, found in enumerate(recommender.answer(requests)):
            places = recommender.catalogue.columns(line.item for line in found)
            columns[row, : len(found)] = places
            scores[row, : len(found)] = [line.score for line in found]
        return {"items": columns, "scores": scores}


@general.get("", response_model=ServerFacts)
async def describe_server() -> Response:
    """Tells what the server is."""
    return Answer({"name": "lowerbound", "version": __version__, "extensions": []})


@general.get("/health/live", response_model=Liveness)
async def tell_live() -> Response:
    """Says that the server lives."""
    return Answer({"live": True})


@general.get("/health/ready", response_model=ServerReadiness)
async def tell_all_ready(request: Request) -> Response:
    """Says whether all models are ready."""
    _refuse_unready(request)
    return Answer({"ready": True})


def _refuse_unready(request: Request) -> None:
    """Raises Problem while the runs are not warm."""
    readiness = request.app.state.readiness
    if not readiness.is_ready:
        raise Problem(503, readiness.reason)


@general.get("/models/{model}", response_model=ModelFacts)
async def describe_model(runs: Runs, model: str) -> Response:
    """Tells the tensors of a model."""
    found = Model.find(runs, model)
    facts = ModelFacts(
        name=found.name,
        versions=["1"],
        platform="lowerbound_pytorch",
        inputs=found.inputs(),
        outputs=found.outputs(),
    )
    return Answer(facts.model_dump())


@general.get("/models/{model}/ready", response_model=ModelReadiness)
async def tell_model_ready(request: Request, runs: Runs, model: str) -> Response:
    """Says whether a model is ready."""
    found = Model.find(runs, model)
    _refuse_unready(request)
    return Answer({"name": found.name, "ready": True})


@general.post("/models/{model}/infer", response_model=InferAnswer, response_model_exclude_none=True)
async def infer(runs: Runs, model: str, body: InferBody) -> Response:
    """Computes the outputs of a model."""
    found = Model.find(runs, model)
    tensors = read_tensors(found, body.inputs)
    k = _read_k(body)
    known = [facts.name for facts in found.outputs()]
    wanted = known
    if body.outputs is not None:
        wanted = [each.name for each in body.outputs]
    for name in wanted:
        if name not in known:
            raise Problem(404, f"outputs: {model} gives {', '.join(known)}, not {name[:80]!r}")
    outputs = await found.served.work(lambda: found.infer(tensors, k))
    given = []
    for name in wanted:
        values = outputs[name]
        datatype = "FP32"
        if values.dtype.kind == "i":
            datatype = "INT64"
        given.append(
            {
                "name": name,
                "datatype": datatype,
                "shape": list(values.shape),
                "data": values.ravel().tolist(),
            }
        )
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": given}
    if body.id is not None:
        answer["id"] = body.id
    return Answer(answer)


def _read_k(body: InferBody) -> int:
    """Reads the parameter k, the length of lists of items."""
    k = (body.parameters or {}).get("k", 10)
    if isinstance(k, float) and k.is_integer():
        k = int(k)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_ITEMS:
        raise Problem(422, f"parameters.k: a whole number from 1 to {MOST_ITEMS} is needed")
    return k


def read_tensors(model: Model, given: list[Tensor]) -> dict[str, np.ndarray]:
    """Reads the tensors of a request.

    Raises:
        Problem: one is missing, not known, or not of its type and shape.
    """
    needed = {facts.name: facts for facts in model.inputs()}
    tensors: dict[str, np.ndarray] = {}
    for tensor in given:
        if tensor.name not in needed or tensor.name in tensors:
            raise Problem(
                422, f"inputs: {', '.join(needed)} once each are needed, got {tensor.name[:80]!r}"
            )
        tensors[tensor.name] = read_tensor(tensor, needed[tensor.name])
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise Problem(422, f"inputs: {', '.join(missing)} missing")
    if len({len(values) for values in tensors.values()}) > 1:
        raise Problem(422, "inputs: all need the same first length")
    return tensors


def read_tensor(tensor: Tensor, facts: TensorFacts) -> np.ndarray:
    """Reads one tensor as what the model needs.

    Raises:
        Problem: it has another type or shape, or its data are no such numbers.
    """
    fits = len(tensor.shape) == len(facts.shape) and tensor.shape[0] <= MOST_EXAMPLES
    for length, needed in zip(tensor.shape, facts.shape, strict=False):
        fits = fits and (needed in (-1, length)) and length <= 2**20
    if not fits or tensor.datatype != facts.datatype:
        raise Problem(
            422,
            f"inputs: {facts.name} is {facts.datatype} of shape {facts.shape}, "
            f"{MOST_EXAMPLES} examples at most; got {tensor.datatype} of {tensor.shape}",
        )
    try:
        values = np.array(tensor.data)
        if values.dtype.kind not in "iuf":
            raise ValueError("other kinds of values")
        if facts.datatype == "INT64" and (values != np.rint(values)).any():
            raise ValueError("no whole numbers")
        if values.dtype.kind == "f":
            values = np.clip(values, -BEYOND, BEYOND)
        values = values.astype(TYPES[facts.datatype]).reshape(tensor.shape)
    except (ValueError, OverflowError):
        raise Problem(
            422, f"inputs: {facts.name} needs {np.prod(tensor.shape)} numbers as data"
        ) from None
    if not (np.abs(values) <= MOST_NUMBER).all():
        raise Problem(422, f"inputs: {facts.name} has numbers beyond {MOST_NUMBER:g}")
    return values
