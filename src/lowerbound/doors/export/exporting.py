"""The door: a run goes out as an ONNX file, which other programs compute."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, RunError, unknown
from ...evaluation.batches import positive, refuse_seed
from ...evaluation.likelihood import LIKELIHOOD_SAMPLES
from ...model import VAE
from ...run import Run, load
from ...system.files import replacing
from ...system.progress import stages
from .description import describe
from .graphs import Decode, Encode, Graph, Recommend, Reconstruct
from .parity import TOLERANCE, compare
from .ports import Port
from .score import Score
from .writing import import_onnx, to_onnx

WHATS = ("encode", "decode", "reconstruct", "score", "recommend")
"""What can be exported of a run."""

ENDING = ".onnx"
"""The names of exported files end so."""

STAGES = 2
"""The file is written, and compared."""

LIST = 10
"""The length of lists of recommendations, unless somebody asks for another."""


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        out: the file.
        what: it computes, one of `WHATS`.
        takes: its inputs.
        gives: its outputs.
        size: of the file, in bytes.
        differences: the largest difference from the run for each number of examples that it was
            checked with, see `parity.TOLERANCE`; None where it was not checked.
    """

    out: Path
    what: str
    takes: tuple[Port, ...]
    gives: tuple[Port, ...]
    size: int
    differences: dict[int, float] | None = None

    def describe(self) -> dict[str, Any]:
        """Returns all that is known of the file, as JSON has it."""
        differences = None
        if self.differences is not None:
            differences = {str(batch): number for batch, number in self.differences.items()}
        return {
            "out": str(self.out),
            "what": self.what,
            "inputs": [port.describe() for port in self.takes],
            "outputs": [port.describe() for port in self.gives],
            "bytes": self.size,
            "differences": differences,
        }


def export(
    run: Run | str | Path,
    out: str | Path,
    *,
    what: str | None = None,
    k: int | None = None,
    samples: int | None = None,
    seed: int = 0,
    check: bool = False,
    progress: bool = True,
) -> Exported:
    """Writes what a run computes as an ONNX file, for any number of examples.

    Raw rows go in, in the units of the data: grey levels, numbers of a table and positions of its
    levels (NaN is a gap), positions of items (-1 is none). Means come out in the same units. The
    file is written whole or not at all; its metadata say what goes in and comes out.

    - "encode": the posterior means of all levels, as `Run.encode`.
    - "decode": the mean of p(x | z) for values of z, as `Run.decode`; of all levels of a ladder, as
      `Run.decode_levels`.
    - "reconstruct": the mean of p(x | z) at the posterior means, as `Run.reconstruct`, not rounded.
    - "score": an estimate of log p(x) in nats, as `Run.log_likelihood`, whose noise is held in the
      file.
    - "recommend": the best items for a list of items, without these, as `Recommender` gives them.

    Args:
        run: the run, or its folder.
        out: the file, whose name ends in `.onnx`.
        what: one of `WHATS`; None is "recommend" for a run on interactions, else "encode".
        k: for "recommend", the length of the lists; None is 10.
        samples: for "score", the importance samples for each row; None is 100.
        seed: for "score", of the noise.
        check: whether the file is run by ONNX Runtime, and compared with the run at batches of 1, 3
            and 17 examples; where they differ by more than `parity.TOLERANCE` nothing is written.
        progress: whether a bar on standard error shows the progress: a score takes half a minute.

    Raises:
        ConfigError: the run has no such thing, an argument is for another one, or a library is
            absent.
        RunError: a part of the model has no form in ONNX, the file would be too large, it differs
            from the run, or it cannot be written.
    """
    if not isinstance(run, Run):
        run = load(run)
    out = Path(out)
    if out.suffix.lower() != ENDING:
        raise ConfigError(f"an exported file ends in {ENDING}, got {out.name!r}")
    what = _choose(run, what)
    _refuse_misplaced(what, k, samples)
    if k is not None:
        positive(k, what="k")
    if samples is not None:
        positive(samples)
    refuse_seed(seed)
    onnx = import_onnx()
    graph = _make(run, _on_cpu(run.model), what, k, samples, seed).eval()
    differences = None
    with stages("export", STAGES, show=progress) as begin, replacing(out) as temporary:
        begin("writing the graph")
        exported = to_onnx(graph, what)
        _add_texts(exported, describe(run, graph, what), run)
        onnx.save_model(exported, str(temporary))
        size = temporary.stat().st_size
        begin("comparing it with the run")
        if check:
            differences = compare(run, graph, temporary)
            _refuse_different(differences)
    return Exported(out, what, graph.takes, graph.gives, size, differences)


def possible(run: Run) -> tuple[str, ...]:
    """Returns what can be exported of a run, of `WHATS`."""
    if run.schema.is_sparse:
        return ("encode", "decode", "reconstruct", "recommend")
    if not run.recipe.objective.has_bound:
        return ("encode", "decode", "reconstruct")
    return ("encode", "decode", "reconstruct", "score")


def _choose(run: Run, what: str | None) -> str:
    """Returns what is to be exported.

    Raises:
        ConfigError: there is no such thing, or this run has none.
    """
    allowed = possible(run)
    if what is None and run.schema.is_sparse:
        return "recommend"
    if what is None:
        return "encode"
    if what not in WHATS:
        raise ConfigError(unknown("--what", what, allowed))
    if what in allowed:
        return what
    reasons = {
        "recommend": "is for runs on interactions, and this one is on images or a table",
        "score": "needs a likelihood of examples, which this run has not",
    }
    raise ConfigError(f"--what {what} {reasons[what]}; allowed: {', '.join(allowed)}")


def _refuse_misplaced(what: str, k: int | None, samples: int | None) -> None:
    """Refuses arguments that are for something else than what is exported."""
    if k is not None and what != "recommend":
        raise ConfigError(f"k is for --what recommend, got --what {what}")
    if samples is not None and what != "score":
        raise ConfigError(f"samples are for --what score, got --what {what}")


def _on_cpu(model: VAE) -> VAE:
    """Returns the model on the CPU, in float32; a copy where it is elsewhere."""
    weight = next(model.parameters())
    if weight.device.type == "cpu" and weight.is_floating_point() and weight.element_size() == 4:
        return model
    return copy.deepcopy(model).cpu().float()


def _make(run: Run, model: VAE, what: str, k: int | None, samples: int | None, seed: int) -> Graph:
    """Makes the graph of what is exported."""
    if what == "recommend":
        return Recommend(run, model, positive(k or LIST, what="k"))
    if what == "score":
        return Score(run, model, positive(samples or LIKELIHOOD_SAMPLES), seed)
    makers: dict[str, Callable[[Run, VAE], Graph]] = {
        "encode": Encode,
        "decode": Decode,
        "reconstruct": Reconstruct,
    }
    return makers[what](run, model)


def _add_texts(exported: Any, texts: dict[str, str], run: Run) -> None:
    """Writes the texts into a model of ONNX."""
    exported.producer_name = "lowerbound"
    exported.producer_version = texts["lowerbound.version"]
    exported.doc_string = run.recipe.about.title
    for name, text in texts.items():
        entry = exported.metadata_props.add()
        entry.key = name
        entry.value = text


def _refuse_different(differences: dict[int, float]) -> None:
    """Refuses a file that does not compute what the run does.

    Raises:
        RunError: says how far they are apart.
    """
    worst = max(differences, key=differences.__getitem__)
    if not differences[worst] <= TOLERANCE:
        raise RunError(
            f"what ONNX Runtime computes differs from the run by {differences[worst]:.2g} of the "
            f"largest number at {worst} examples, and may by {TOLERANCE:g}; nothing was written"
        )
