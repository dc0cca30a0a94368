"""Builds the API reference from the docstrings: one page for each public module, and a search.

`make docs` runs it. The pages stand in `build/api`; open `build/api/index.html`.
"""

import pkgutil
import sys
from pathlib import Path

import pdoc

import lowerbound

OUTPUT = Path(__file__).parents[1] / "build" / "api"


def public_modules() -> list[str]:
    """Lists the package and all its modules but those that run a program."""
    names = ["lowerbound"]
    for module in pkgutil.walk_packages(lowerbound.__path__, "lowerbound."):
        if not module.name.endswith("__main__"):
            names.append(module.name)
    return names


def main() -> None:
    """Writes the pages."""
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(*public_modules(), output_directory=OUTPUT)
    print(f"API reference: {OUTPUT / 'index.html'}", file=sys.stderr)


if __name__ == "__main__":
    main()
