"""Data: from a name or a path to splits of float batches.

One file per kind of source (`images`, `idx`, `arrays`, `tables`), found by `catalogue.members`; the named sets are in
`named`. Nothing here knows of models: what a model must know of its data is a `Schema`.
"""

from .dataset import Dataset, Examples
from .named import named_sets
from .schema import Schema
from .spec import Data

__all__ = ["Data", "Dataset", "Examples", "Schema", "named_sets"]
