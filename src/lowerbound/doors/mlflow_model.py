"""The model that MLflow serves: a run folder behind `predict`.

MLflow copies this file beside the run (a "model from code") and executes it when it loads the
model, so nothing is pickled. It is executed by its path, and therefore imports absolutely.
"""

from typing import Any

import mlflow
import pandas
from mlflow.pyfunc.model import PythonModel

from lowerbound.anomalies import score
from lowerbound.errors import ConfigError, unknown
from lowerbound.recommend import Recommender
from lowerbound.report.text import column_names
from lowerbound.run import Run, load


class Predictions:
    """What MLflow asks of a model: to load it, and to predict.

    The parameters, as the signature has them: `what` ("score", "encode" or "recommend"), `k`
    (of lists of recommendations), `samples` (importance samples of scores).
    """

    def load_context(self, context: Any) -> None:
        """Loads the run that was logged."""
        self.run: Run = load(context.artifacts["run"])
        self.recommender: Recommender | None = None
        if self.run.items is not None:
            self.recommender = Recommender(self.run)

    # MLflow reads annotations, and would check the rows by them.
    def predict(self, context, model_input, params=None):
        # type: (Any, Any, dict[str, Any] | None) -> pandas.DataFrame
        """Returns a frame: a row for each example, or for each recommended item.

        Args:
            context: MLflow's; not needed.
            model_input: examples in the units of the data, as `Run.encode` takes them; of a
                recommender a list of histories, a frame with a column `history` of lists, or
                what `Recommender.recommend_many` takes.
            params: see the class.

        Raises:
            ConfigError: the run does not do what is asked for.
            DataError: the examples are not those of such data.
        """
        asked = dict(params or {})
        known = {"encode": self._encode, "score": self._score}
        usual = "score"
        if self.recommender is not None:
            known = {"encode": self._encode, "recommend": self._recommend}
            usual = "recommend"
        what = asked.get("what") or usual
        if what not in known:
            raise ConfigError(unknown("prediction", what, known))
        return known[what](model_input, asked)

    def _score(self, data: Any, asked: dict[str, Any]) -> pandas.DataFrame:
        """Scores each example, see `lowerbound.score`."""
        scores = score(self.run, self._plain(data), samples=int(asked.get("samples", 100)))
        return _to_pandas(scores.to_frame())

    def _encode(self, data: Any, asked: dict[str, Any]) -> pandas.DataFrame:
        """Encodes each example: the posterior means of all levels, side by side."""
        if self.recommender is not None:
            levels = [self.recommender.codes(_histories(data))]
        else:
            levels = [means.numpy() for means in self.run.encode(self._plain(data))]
        columns: dict[str, Any] = {}
        for number, means in enumerate(levels, 1):
            names = column_names((), means.shape[1], f"z{number}_")
            columns |= dict(zip(names, means.T, strict=True))
        return pandas.DataFrame(columns)

    def _recommend(self, data: Any, asked: dict[str, Any]) -> pandas.DataFrame:
        """Recommends items for each history: a row for each item, the best first."""
        assert self.recommender is not None
        lists = self.recommender.recommend_many(_histories(data), int(asked.get("k", 10)))
        return _to_pandas(lists.to_frame())

    def _plain(self, data: Any) -> Any:
        """Returns the values of a frame where the run is on images or vectors."""
        if isinstance(data, pandas.DataFrame) and self.run.schema.kind != "table":
            return data.to_numpy()
        return data


class RunModel(Predictions, PythonModel):
    """A run behind MLflow's `predict(data, params)`.

    MLflow warns of a `predict` of one's own without the type of its rows, or with a type that it
    does not know; the rows are images, vectors, tables or histories. It is therefore inherited.
    """


def _histories(data: Any) -> Any:
    """Returns histories as `Recommender.recommend_many` takes them.

    A list of lists, and a column `history` of lists, are those of users that are numbered from 0.
    """
    if isinstance(data, pandas.DataFrame) and "history" in data:
        data = data["history"].tolist()
    if isinstance(data, list):
        return {user: list(history) for user, history in enumerate(data)}
    return data


def _to_pandas(frame: Any) -> pandas.DataFrame:
    """Makes a frame of pandas of one of Polars, without pyarrow."""
    return pandas.DataFrame(frame.to_dict(as_series=False))


mlflow.models.set_model(RunModel())
