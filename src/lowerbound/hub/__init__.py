"""Run folders to and from a hub of models.

This package moves folders and writes the page that describes one. It knows no model: what a card
says of a run is told to it (`card.Facts`).

Names are imported when they are first used: an address is told from a path without any library.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..specs import lazy

if TYPE_CHECKING:
    from .address import Address, is_address, read_address
    from .card import Facts, Figure, write_card
    from .contents import KNOWN, MAY_STAY, copy_run
    from .registry import log_model
    from .transfer import fetch, push

__getattr__: Callable[[str], Any]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "address": ("Address", "is_address", "read_address"),
        "card": ("Facts", "Figure", "write_card"),
        "contents": ("KNOWN", "MAY_STAY", "copy_run"),
        "registry": ("log_model",),
        "transfer": ("fetch", "push"),
    },
)

__all__ = [
    "KNOWN",
    "MAY_STAY",
    "Address",
    "Facts",
    "Figure",
    "copy_run",
    "fetch",
    "is_address",
    "log_model",
    "push",
    "read_address",
    "write_card",
]
