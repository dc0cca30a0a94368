"""Runs over HTTP: an application of FastAPI, and the page of a browser.

It needs the packages of `pip install 'lowerbound[serve]'`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...specs import lazy

if TYPE_CHECKING:
    from .app import create_app
    from .launch import serve

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
"""The server needs these packages beside those of the library."""


def refuse_missing() -> None:
    """Says which packages are missing.

    Raises:
        ConfigError: one is.
    """
    from importlib.util import find_spec

    missing = [name.replace("_", "-") for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"`lowerbound serve` needs {', '.join(missing)}: pip install 'lowerbound[serve]'"
        )


__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(__name__, {"app": ("create_app",), "launch": ("serve",)})

__all__ = ["create_app", "refuse_missing", "serve"]
