"""What is measured of a split after an epoch, and of the test split at the end of a fit."""

from ..data import Dataset, Split
from ..distributed.processes import ONE_PROCESS, Processes
from ..errors import ConfigError
from ..evaluation.measure import WATCHED, MeasureSettings, measure_split, monitored, watched
from ..model import VAE
from ..objectives import Objective
from ..recipe import Training
from .seeds import derive_seed

__all__ = ["WATCHED", "measure_test", "measured", "monitored", "refuse_unfit", "watched"]


def refuse_unfit(data: Dataset, settings: Training) -> None:
    """Refuses settings that are not for these data.

    Raises:
        ConfigError: the settings are for other data.
        DataError: a split was to hold something out, and nothing could be.
    """
    if settings.monitor != "objective":
        allowed = "interactions with a validation split; allowed: objective"
        message = f"training.monitor={settings.monitor} needs {allowed}"
        data.schema.refuse_dense(message)
        if data.validation is None:
            raise ConfigError(message)
    for name, split in (("validation", data.validation), ("test", data.test)):
        if split is not None:
            split.refuse_nothing_held_out(
                f"the {name} split of {data.name} holds nothing out to be found: its users have "
                "too few items for the split "
                f"(strong: 5); set data.{name}=0, or another data.interactions.split"
            )
    if settings.compile is True:
        data.schema.refuse_interactions(
            "training.compile is for dense examples; interactions need no compilation"
        )
    if settings.clip is not None and settings.optimizer == "LazyAdam":
        raise ConfigError(
            "training.clip needs the gradient of all rows, and LazyAdam has some of them only; "
            "take Adam"
        )


def measured(
    model: VAE,
    examples: Split,
    objective: Objective,
    settings: Training,
    stream: int,
    processes: Processes = ONE_PROCESS,
) -> dict[str, float]:
    """Measures a split after an epoch, always on the same draws.

    Of dense examples the bound is measured, and the objective at the end of its schedules, with the
    samples of the training. Of interactions the ranking metrics are measured, and the objective
    where it is to choose the best weights. The processes share the work, but for that of the
    objective of interactions.

    Args:
        model: in training.
        examples: the split.
        objective: the training objective.
        settings: of the training.
        stream: chooses the draws, together with the seed of the training.
        processes: that share the work.

    Returns:
        One column for each number, by name.
    """
    how = MeasureSettings(
        seed=derive_seed(settings.seed, stream),
        draws=settings.samples,
        monitor=settings.monitor,
        processes=processes,
    )
    return measure_split(examples, model, how).columns(objective, settings.samples)


def measure_test(
    model: VAE,
    examples: Split,
    objective: Objective,
    settings: Training,
    processes: Processes = ONE_PROCESS,
) -> dict[str, float]:
    """Measures the test split at the end of a fit, on the draws of `Run.evaluate` and the report.

    The objective is measured on the same draws, as many at a time as the training takes.

    Returns:
        The columns of `measured`.
    """
    how = MeasureSettings(monitor=settings.monitor, processes=processes)
    return measure_split(examples, model, how).columns(objective, settings.samples)
