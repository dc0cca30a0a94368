"""Runs as models of MLflow: code that loads a run folder, and the folder. Nothing is pickled."""

import tempfile
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import RunError, one_line
from ..system.extras import require
from .contents import copy_run

CODE = Path(__file__).parents[1] / "doors" / "mlflow_model.py"
"""The file that MLflow executes to load a model. It is given to MLflow by its path."""

RANKED = 10
"""The length of lists of recommendations, where nobody asks for another."""

SAMPLES = 100
"""The importance samples of a score, where nobody asks for another number."""


def log_model(
    folder: Path,
    name: str,
    *,
    usual: str,
    replaced: Mapping[str, bytes],
    leave_out: Collection[str] = (),
    **options: Any,
) -> Any:
    """Logs the run in a folder as a model of MLflow.

    Args:
        folder: of the run.
        name: of the model.
        usual: what `predict` gives where nobody says: "score", "encode" or "recommend".
        replaced: what takes the place of the content of some files.
        leave_out: names of files that are to stay.
        options: of `mlflow.pyfunc.log_model`.

    Returns:
        MLflow's `ModelInfo`.

    Raises:
        RunError: MLflow refuses.
    """
    require("log_model", "mlflow", "mlflow", "pandas")
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        # MLflow warns of its own types, of its database, and of a model without an example.
        warnings.simplefilter("ignore")
        import mlflow
        import mlflow.pyfunc

        copied = Path(temporary) / "run"
        copy_run(folder, copied, replaced=replaced, leave_out=leave_out)
        chosen: dict[str, Any] = {
            "signature": _signature(usual),
            "pip_requirements": [f"lowerbound=={__version__}", "pandas"],
        }
        try:
            return mlflow.pyfunc.log_model(
                name=name,
                python_model=str(CODE),
                artifacts={"run": str(copied)},
                **(chosen | options),
            )
        except mlflow.MlflowException as error:
            raise RunError(f"MLflow refuses the model: {one_line(error, 300)}") from error


def _signature(usual: str) -> Any:
    """Makes the signature: any data, and the parameters of `predict`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    parameters = [
        ParamSpec("what", "string", usual),
        ParamSpec("k", "long", RANKED),
        ParamSpec("samples", "long", SAMPLES),
    ]
    return ModelSignature(params=ParamSchema(parameters))
