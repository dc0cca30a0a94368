"""What must be said beside the figures of a run, and which data its likelihood refuses."""

import math

from ..data import Schema, Split
from ..data.levels import advise_scaling
from ..data.memory import MEMORY, DataSource, source_text
from ..errors import DataError, one_line
from ..recipe import Recipe


def check(recipe: Recipe, examples: Split, source: DataSource | None = None) -> str | None:
    """Checks that the likelihood and the noise of a recipe fit the values of a split.

    Args:
        recipe: the recipe.
        examples: the split.
        source: where the examples are from; None: from the source of the recipe.

    Returns:
        What a report must say of this likelihood on these examples, or None.

    Raises:
        DataError: the likelihood or the noise does not fit the values; says why.
    """
    low, high = examples.span()
    levels = examples.schema.levels
    if source is None:
        source = recipe.data.source
    name = source_text(source)
    if name == MEMORY:
        name = "the data in memory"
    advice = ""
    if examples.schema.kind == "image" and levels is None:
        advice = advise_scaling(low, high)
    likelihood = recipe.model.likelihood
    reason = likelihood.refuses(low, high, levels)
    if reason:
        raise DataError(f"model.likelihood does not fit {name}: {_advised(reason, advice)}")
    for noise in recipe.model.noise:
        reason = noise.refuses(low, high)
        if reason:
            raise DataError(f"model.noise does not fit {name}: {_advised(reason, advice)}")
    caveats = (
        likelihood.caveat(low, high, levels),
        units(examples.schema),
        tell_conditions(examples.schema),
    )
    return "; ".join(caveat for caveat in caveats if caveat) or None


def _advised(reason: str, advice: str) -> str:
    """Puts advice on the values before that on the part that refuses them.

    Pixels in odd units under a likelihood that takes them make a bad model.
    """
    fault, *other_ways = reason.split("; ")
    if advice:
        other_ways.insert(0, advice)
    return "; ".join((fault, *other_ways))


def units(schema: Schema) -> str | None:
    """Says what turns a density of standardised values into one of the values of the source, or
    which columns of a table have densities; None where there is nothing to say.
    """
    dense = [column.name for column in schema.table if column.has_density]
    if dense:
        names = one_line(", ".join(map(repr, dense)), 120)
        return f"the densities of {names} are in the units of the data, all else are probabilities"
    if not schema.scale:
        return None
    offset = -sum(math.log(scale) for scale in schema.scale)
    return (
        f"values are standardised by the training split: add {offset:.4g} nats for the density in "
        "the units of the source"
    )


def tell_conditions(schema: Schema) -> str | None:
    """Says what figures of a conditional model are of, or returns None."""
    if not schema.given:
        return None
    names = one_line(", ".join(schema.names_of_conditions), 120)
    if schema.is_sparse:
        return f"the model is conditional: it ranks by the history and by {names} of a user"
    return f"the model is conditional: its figures are of log p(x | {names})"
