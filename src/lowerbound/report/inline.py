"""The report of a run inside a notebook."""

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ..data.memory import DataSource
from ..run import Run
from .report import page

MOST_INLINE = 2**22
"""A page of more bytes than this is shown by its overview, with a link: a notebook keeps all that
it shows in its file.
"""

HEIGHT = 720
"""The height of the frame in pixels."""


@dataclass(frozen=True)
class InlinePage:
    """A page that a notebook shows.

    Attributes:
        path: of the page.
    """

    path: Path

    def __fspath__(self) -> str:
        """Returns the path, so that the page can be opened as a file."""
        return str(self.path)

    def __repr__(self) -> str:
        """Names the file, for a terminal."""
        return f"report in {self.path}"

    def _repr_html_(self) -> str:
        """Returns the page as a frame, or its overview and a link where it is large."""
        content = self.path.read_bytes()
        if len(content) > MOST_INLINE:
            return self._overview()
        document = escape(content.decode(), quote=True)
        return (
            f'<iframe srcdoc="{document}" sandbox="" title="report" '
            f'style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        )

    def _overview(self) -> str:
        path = escape(str(self.path), quote=True)
        picture = base64.b64encode(self.path.with_name("overview.png").read_bytes()).decode()
        return (
            f'<p>The whole report: <a href="{path}" target="_blank">{path}</a></p>'
            f'<img src="data:image/png;base64,{picture}" alt="overview" style="max-width: 100%">'
        )


def show(
    run: Run,
    source: DataSource | None = None,
    *,
    examples: int | None = None,
    again: bool = False,
) -> InlinePage:
    """Returns the report of a run for a notebook; it is written where there is none yet.

    Args:
        run: the run.
        source: as `page` takes it; with other data, the report is written again.
        examples: as `page` takes it; with a number, it is written again.
        again: whether a report that is there is written again.
    """
    path = run.folder / "report" / "index.html"
    if again or source is not None or examples is not None or not path.is_file():
        path = page(run, source, examples=examples)
    return InlinePage(path)
