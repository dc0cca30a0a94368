"""What is measured of a split after an epoch, and of the test split at the end of a fit."""

from ..data import Dataset, Split
from ..distributed.processes import ONE_PROCESS, Processes
from ..errors import ConfigError, DataError
from ..evaluation.measure import WATCHED, MeasureSettings, measure_split, monitored, watched
from ..model import VAE
from ..objectives import Objective
from ..recipe import Blend, Training
from .seeds import derive_seed

__all__ = ["WATCHED", "measure_test", "measured", "monitored", "refuse_unfit", "watched"]


def refuse_unfit(data: Dataset, settings: Training) -> None:
    """Refuses settings that are not for these data.

    Raises:
        ConfigError: the settings are for other data.
        DataError: a split was to hold something out, and nothing could be.
    """
    if settings.monitor != "objective":
        data.schema.refuse_dense(
            f"training.monitor={settings.monitor} needs interactions with a validation split; "
            "allowed: objective"
        )
    refuse_lacking_splits(data, settings)
    if settings.compile in (True, "graphs"):
        data.schema.refuse_interactions(
            "training.compile is for dense examples; interactions need no compilation"
        )
    if settings.clip is not None and settings.optimizer == "LazyAdam":
        raise ConfigError(
            "training.clip needs the gradient of all rows, and LazyAdam has some of them only; "
            "take Adam"
        )


def refuse_lacking_splits(data: Dataset, settings: Training, blend: Blend | None = None) -> None:
    """Refuses data whose splits do not have what the settings need.

    One line says all that is to be set.

    Args:
        data: with its splits.
        settings: of the training.
        blend: the linear methods that may stand beside the network.

    Raises:
        ConfigError: the settings need a validation split, and there is none.
        DataError: a split was to hold something out, and nothing could be.
    """
    empty = _splits_without_targets(data)
    has_validation = data.validation is not None and "validation" not in empty
    needed = [f"data.{name}=0" for name in empty]
    if not has_validation and settings.monitor != "objective":
        needed.append("training.monitor=objective")
    if not has_validation and settings.patience is not None:
        needed.append("training.patience=none")
    if not has_validation and blend is not None and blend.is_choice:
        needed.append("blend=none")
    if not needed:
        return
    changes = " and ".join(needed)
    if empty:
        raise DataError(
            f"nothing is held out to be found in the {' and the '.join(empty)} split of "
            f"{data.name}: its users have too few items for the split (strong: 5); set {changes}, "
            "or another data.interactions.split"
        )
    cause = f"data.validation gave it no {data.schema.unit}"
    ways_out = f"set {changes}, or raise data.validation"
    if data.schema.is_sparse:
        cause += ", or they have too few items to hold one out"
        ways_out = f"set {changes}, raise data.validation, or take another data.interactions.split"
    raise ConfigError(
        f"{data.name} has no validation split, for {cause}, and the recipe needs one; {ways_out}"
    )


def _splits_without_targets(data: Dataset) -> list[str]:
    """Names the splits of users of whom nothing was held out."""
    names = []
    for name, split in (("validation", data.validation), ("test", data.test)):
        if split is not None and split.lacks_targets():
            names.append(name)
    return names


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
