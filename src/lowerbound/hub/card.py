"""The card of a run: the page `README.md` that a hub shows, and `config.json`, which it counts.

A card says what the model is, its figures on the test split with their standard errors, what must
be known before they are believed, how it was made in full, how to load it, and what the files hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import one_line
from ..system.extras import require
from ..system.files import write_json, write_text
from .contents import Known

LIBRARY = "lowerbound"
"""How a hub knows what loads the model."""


@dataclass(frozen=True)
class Figure:
    """A figure on a split.

    Attributes:
        name: for people.
        measure: for machines, such as "elbo".
        value: the figure.
        standard_error: of the figure; None where it is not known.
        digits: the decimals that it is shown with.
        sign: what stands before it: ">= " of an estimate from below.
    """

    name: str
    measure: str
    value: float
    standard_error: float | None
    digits: int = 2
    sign: str = ""

    def text(self) -> str:
        """Writes the figure with its standard error."""
        value = f"{self.sign}{self.value:,.{self.digits}f}"
        if self.standard_error is None:
            return value
        return f"{value} ± {self.standard_error:,.{self.digits}f}"


@dataclass(frozen=True)
class Facts:
    """What a card tells of a run.

    Attributes:
        title: what was fitted, in a line.
        model: the model in a line.
        kind: of its data: "image", "vector", "table" or "interactions".
        parameters: how many numbers it consists of.
        source: the name of the data.
        sizes: examples or users of each split.
        unit: what they are.
        digest: of the values of the data.
        split: what the figures are of.
        figures: the figures.
        caveats: what must be known of them.
        recipe: the recipe, as TOML.
        origin: the title of the recipe, "" for none.
        fit: how long the fit was, and on what.
        uses: lines of code that show what the run does.
        limits: what it does not, or not well.
        config: what `config.json` holds beside the name of the library.
    """

    title: str
    model: str
    kind: str
    parameters: int
    source: str
    sizes: Mapping[str, int]
    unit: str
    digest: str
    split: str
    figures: Sequence[Figure]
    caveats: Sequence[str]
    recipe: str
    origin: str
    fit: str
    uses: Sequence[str]
    limits: Sequence[str]
    config: Mapping[str, Any] = field(default_factory=dict)


SAFE = (
    "`pip install 'lowerbound[hub]'`. Nothing that is loaded can execute code: the weights are "
    "safetensors, and there is no pickle."
)
"""What is said of loading."""

LEARNT = (
    "No example of the data is in the repository, but what a model has learnt may tell of the "
    "examples that it was fitted to."
)
"""What is said of the data."""

TASKS = {"image": "unconditional-image-generation"}
"""The hub's names of tasks, by the kind of the data; others have none."""


def write_card(
    folder: Path, facts: Facts, files: Sequence[Known], address: str, license_: str | None
) -> None:
    """Writes `README.md` and `config.json` into a folder.

    Args:
        folder: where they are written.
        facts: of the run.
        files: what else is in the folder.
        address: by which the run is loaded: of a hub, or a folder.
        license_: the hub's name of the licence of the weights; None names none.
    """
    require("a model card", "hub", "huggingface_hub")
    from huggingface_hub import ModelCard

    text = f"---\n{_metadata(facts, address, license_)}\n---\n\n{_page(facts, files, address)}"
    write_text(folder / "README.md", str(ModelCard(text)))
    write_json(folder / "config.json", {"library_name": LIBRARY} | dict(facts.config))


def _metadata(facts: Facts, address: str, license_: str | None) -> str:
    """Returns what machines read of a card, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    results = []
    for figure in facts.figures:
        arguments = None
        if figure.standard_error is not None:
            arguments = {"standard_error": figure.standard_error}
        results.append(
            EvalResult(
                task_type=TASKS.get(facts.kind, "other"),
                dataset_type=facts.source,
                dataset_name=facts.source,
                dataset_split=facts.split,
                metric_type=figure.measure,
                metric_name=figure.name,
                metric_value=figure.value,
                metric_args=arguments,
            )
        )
    tags = [LIBRARY, "variational-autoencoder", facts.kind]
    card = ModelCardData(
        library_name=LIBRARY,
        license=license_,
        tags=tags,
        pipeline_tag=TASKS.get(facts.kind),
        model_name=address.rpartition("/")[2],
        eval_results=results or None,
    )
    return card.to_yaml().strip()


def _page(facts: Facts, files: Sequence[Known], address: str) -> str:
    """Returns what people read of a card, as Markdown."""
    name = address.rpartition("/")[2]
    parts = [
        f"# {one_line(name)}",
        f"{facts.title}: {facts.model}; {facts.parameters:,} parameters.",
        "## Load it",
        _code("python", ["import lowerbound", f'run = lowerbound.load("{address}")', *facts.uses]),
        SAFE,
        "## Figures",
        _figures(facts),
        "## Data",
        _data(facts),
        "## How it was fitted",
        facts.fit,
        _origin(facts),
        _code("toml", facts.recipe.strip().splitlines()),
        "## Use and limits",
        _list(facts.limits),
        "## What the files hold",
        _table(("file", "what it holds"), [(f"`{each.name}`", each.content) for each in files]),
        LEARNT,
    ]
    return "\n\n".join(parts) + "\n"


def _origin(facts: Facts) -> str:
    """Introduces the recipe."""
    text = "The recipe in full; `lowerbound fit recipe.toml` fits it again:"
    if facts.origin:
        return f'Its recipe began as "{one_line(facts.origin, 200)}". {text}'
    return text


def _figures(facts: Facts) -> str:
    """Lays out the figures, with what must be known of them."""
    if not facts.figures:
        return "None were measured."
    rows = [(figure.name, figure.text()) for figure in facts.figures]
    table = _table(("measure", f"{facts.split} split, ± standard error"), rows)
    return "\n\n".join((table, _list(facts.caveats))).strip()


def _data(facts: Facts) -> str:
    sizes = ", ".join(f"{count:,} {split}" for split, count in facts.sizes.items() if count)
    return (
        f"{_cell(facts.source)}: {sizes} {facts.unit}. The digest of the values is "
        f"`{facts.digest}`: a run on a copy of the data says whether they are the same."
    )


def _code(language: str, lines: Sequence[str]) -> str:
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    return "\n".join((f"{fence}{language}", *lines, fence))


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {one_line(item, 1000)}" for item in items)


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    for left, right in rows:
        lines.append(f"| {_cell(left)} | {_cell(right)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Writes a text so that it stays in a cell of a table."""
    return one_line(text, 400).replace("|", "\\|")
