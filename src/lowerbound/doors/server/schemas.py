"""The bodies of requests and answers."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .inputs import EXACT, MOST_EXAMPLES, WHOLE, Conditions, Planes, Vector, Vectors

MOST_NAMES = 50
"""A body has at most so many keys, known or not."""


class Body(BaseModel):
    """The body of a request: nothing is converted, and unknown keys are mistakes."""

    model_config: ClassVar[ConfigDict] = ConfigDict(**EXACT, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, values: Any) -> Any:
        """Refuses very many keys, each of which would be a mistake to be told."""
        if isinstance(values, dict) and len(values) > MOST_NAMES:
            raise ValueError(f"has {len(values)} keys; allowed: {', '.join(cls.model_fields)}")
        return values


Examples = Annotated[
    list[Any],
    Field(
        min_length=1,
        max_length=MOST_EXAMPLES,
        description="Images as numbers or as PNG or JPEG in base64; rows as objects; vectors.",
    ),
]

Seed = Annotated[int, Field(ge=0, lt=2**53), WHOLE]


class EncodeBody(Body):
    """Examples to encode; those of a conditional run with their conditions."""

    examples: Examples
    given: Conditions | None = None


class DecodeBody(Body):
    """Values of latents: of one level (the others follow from it), or of all."""

    z: Vector | Vectors | None = None
    level: Annotated[int, Field(ge=0), WHOLE] = 0
    levels: Vectors | Planes | None = None
    given: Conditions | None = None


class SampleBody(Body):
    """What is drawn."""

    n: Annotated[int, Field(ge=1, le=MOST_EXAMPLES), WHOLE] = 1
    seed: Seed = 0
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    mean: bool | None = None
    given: Conditions | None = None


class ReconstructBody(Body):
    """Examples to encode and decode again."""

    examples: Examples
    given: Conditions | None = None
    samples: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    seed: Seed = 0


class ScoreBody(ReconstructBody):
    """Examples to measure."""


class LevelCodes(BaseModel):
    """The posterior means of one level; level 0 is next to the data."""

    level: int
    z: list[list[float | None]]


class EncodeAnswer(BaseModel):
    """The posterior means of each level."""

    levels: list[LevelCodes]
    notes: list[str]


class ValuesAnswer(BaseModel):
    """Images [n][channel][height][width] as shares of white, or rows by column."""

    images: list[list[list[list[float]]]] | None = None
    rows: list[dict[str, Any]] | None = None


class Measured(BaseModel):
    """What is measured of one example, in nats; `percentile` is among held-out examples."""

    elbo: float | None
    log_likelihood: float | None
    adjusted: float | None = None
    percentile: float | None = None


class OddCell(BaseModel):
    """A cell that makes a row odd: nats below what is usual for its column."""

    column: str
    value: Any
    below: float


class ScoredExample(Measured):
    """One example with its odd cells, of a table with columns of several kinds."""

    gaps: int | None = None
    odd: list[OddCell] | None = None


class ScoreAnswer(BaseModel):
    """The scores of examples."""

    examples: list[ScoredExample]
    samples: int
    reference: int
    reference_split: str | None
    caveat: str | None
    notes: list[str]


class ReconstructedExample(BaseModel):
    """One example and what the model makes of it: images as `data:` URLs, or rows by column."""

    original: Any
    mean: Any
    residual: Any
    codes: list[list[float | None]]
    score: ScoredExample | None


class ReconstructAnswer(BaseModel):
    """Reconstructions; `residual_scale` is the difference that is drawn as black or white."""

    examples: list[ReconstructedExample]
    residual_scale: float | None = None
    caveat: str | None
    notes: list[str]


class RunLine(BaseModel):
    """One run of the list of runs."""

    name: str
    kind: str
    title: str
    source: str
    conditional: bool
    items: int | None = None


class LevelDescription(BaseModel):
    """One level of latents: quantiles [dimension][rank] of its posterior means."""

    level: int
    dimensions: int
    ranks: list[float]
    quantiles: list[list[float]]


class ColumnDescription(BaseModel):
    """A column of a table, or a condition."""

    name: str
    kind: str
    type: str
    levels: list[str]
    low: float | None
    high: float | None
    decimals: int | None


class RunDescription(RunLine):
    """All that is told of a run."""

    folder: str
    model: str
    recipe_text: str
    recipe: dict[str, Any]
    facts: list[list[str]]
    summary: dict[str, Any]
    shape: list[int]
    value_levels: int | None
    columns: list[ColumnDescription]
    conditions: list[ColumnDescription]
    levels: list[LevelDescription]
    has_data: bool
    has_likelihood: bool
    splits: dict[str, int]
    caveats: list[str]
    can: list[str]
