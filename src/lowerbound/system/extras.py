"""Libraries that only some commands need, and that are installed as extras of this package."""

from importlib.util import find_spec

from ..errors import ConfigError


def require(what: str, extra: str, *modules: str) -> None:
    """Refuses to go on without the libraries of an extra. None of them is imported.

    Args:
        what: what needs them, such as "`lowerbound tune`".
        extra: the name of the extra.
        modules: the names of the libraries' modules.

    Raises:
        ConfigError: one is missing; the line has the command that installs all of them.
    """
    missing = []
    for module in modules:
        spec = find_spec(module)
        # A mere folder of that name has no origin.
        if spec is None or spec.origin is None:
            missing.append(module)
    if missing:
        verb = "is"
        if len(missing) > 1:
            verb = "are"
        raise ConfigError(
            f"{what} needs {' and '.join(missing)}, which {verb} not installed: pip install "
            f"'lowerbound[{extra}]'"
        )
