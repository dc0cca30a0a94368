"""Folders to the Hugging Face hub and from it, by the library huggingface_hub.

Nothing but the files of `contents` is sent or asked for. The hub is that of `HF_ENDPOINT`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from .. import __version__
from ..errors import ConfigError, RunError, one_line
from ..system.extras import require
from ..system.files import is_file
from .address import Address
from .contents import KNOWN, NEEDED, settle

LIBRARY = "lowerbound"
"""How the hub knows this library."""

USUAL_ENDPOINT = "https://huggingface.co"
"""The hub, where the environment names no other."""


def endpoint() -> str:
    """Returns the URL of the hub."""
    return os.environ.get("HF_ENDPOINT", USUAL_ENDPOINT).rstrip("/")


def push(
    folder: Path,
    repository: str,
    *,
    private: bool,
    revision: str | None = None,
    message: str = "",
    token: str | None = None,
) -> str:
    """Sends a folder to a repository, which is made where there is none. Known files that were
    there and are not in the folder are removed.

    Args:
        folder: with the files that travel, and no others that matter.
        repository: "OWNER/NAME".
        private: whether only the owner is to see it.
        revision: the branch; None is the default one.
        message: of the commit.
        token: of the hub; None takes that of the environment or of `hf auth login`.

    Returns:
        The URL of the repository.

    Raises:
        ConfigError: the repository exists and is public, and was to be private.
        RunError: the hub cannot be reached, or refuses.
    """
    require("push_to_hub", "hub", "huggingface_hub")
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token, library_name=LIBRARY, library_version=__version__)
    with _worded(f"{repository} cannot be pushed"):
        url = api.create_repo(repository, private=private, exist_ok=True)
        if private:
            _refuse_public(api, repository)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            commit_message=message or "A run of lowerbound",
            allow_patterns=list(KNOWN),
            delete_patterns=list(KNOWN),
        )
    return str(url)


def _refuse_public(api: Any, repository: str) -> None:
    """Refuses to send to a repository that others see what was to be private."""
    if api.model_info(repository).private is False:
        raise ConfigError(
            f"{repository} exists already and is public: push_to_hub(..., private=False) says that "
            "everybody may see the run"
        )


def fetch(address: Address) -> Path:
    """Fetches the known files of a repository, and returns the folder that they are in.

    What was fetched before is not fetched again. Without a connection, what was fetched is taken.

    Raises:
        RunError: the repository holds no run, or the hub cannot be reached and nothing was fetched
            before.
    """
    require(str(address), "hub", "huggingface_hub")
    from huggingface_hub import snapshot_download

    with _worded(f"{address} cannot be fetched"):
        snapshot = Path(
            snapshot_download(
                address.repository,
                revision=address.revision,
                endpoint=endpoint(),
                allow_patterns=list(KNOWN),
                library_name=LIBRARY,
                library_version=__version__,
            )
        )
    missing = [name for name in NEEDED if not is_file(snapshot / name)]
    if missing:
        raise RunError(
            f"{address} is no run of lowerbound: it has no {', '.join(missing)}; other files, such "
            "as pickles, are never fetched"
        )
    owner, _, name = address.repository.partition("/")
    target = cache() / owner / f"{name}@{snapshot.name[:12]}"
    settle(snapshot, target)
    return target


def cache() -> Path:
    """Returns the folder that holds what was fetched."""
    return Path(platformdirs.user_cache_dir("lowerbound")) / "hub"


@contextmanager
def _worded(failure: str) -> Iterator[None]:
    """Turns an error of the hub, or of the way to it, into one line."""
    from huggingface_hub import errors

    try:
        yield
    except (ConfigError, RunError):
        raise
    except errors.RepositoryNotFoundError as error:
        raise RunError(
            f"{failure}: there is no such repository on {endpoint()}, or it is private and needs "
            "a token: hf auth login, or HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RunError(f"{failure}: it has no such revision") from error
    except errors.LocalTokenNotFoundError as error:
        raise RunError(f"{failure}: it needs a token: hf auth login, or HF_TOKEN") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise RunError(f"{failure}: {_why_unreached(error)}") from error
    except errors.HfHubHTTPError as error:
        advice = ""
        if error.response is not None and error.response.status_code in (401, 403):
            advice = "; a token with the right to write is needed: hf auth login, or HF_TOKEN"
        raise RunError(f"{failure}: {_first_line(error)}{advice}") from error
    except RuntimeError as error:  # what the library makes of an upload that failed
        cause = error.__cause__ or error
        raise RunError(f"{failure}: {_first_line(error)} ({_first_line(cause)})") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore"):
            raise
        raise RunError(f"{failure}: {_why_unreached(error)}") from error


def _why_unreached(error: Exception) -> str:
    """Says why the hub was not asked, or did not answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and it was not fetched before"
    cause = error.__cause__ or error
    return f"{endpoint()} is not reached ({_first_line(cause)}), and it was not fetched before"


def _first_line(error: BaseException) -> str:
    """Returns the first line of an error that says something."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line((lines or [type(error).__name__])[0], 240)
