"""The documentation site, which `make docs` builds from the pages beside this file, and from the
docstrings of the package.

Nothing is fetched while it is built, and a page of the site asks no other host for anything.
"""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

DOCS = Path(__file__).parent

sys.path.insert(0, str(DOCS))

import reference  # noqa: E402

import lowerbound  # noqa: E402

project = "lowerbound"
author = "The lowerbound authors"
project_copyright = "The lowerbound authors, Apache-2.0"
version = lowerbound.__version__
release = lowerbound.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# What a page of Markdown may do.
myst_heading_anchors = 3
smartquotes = False
highlight_language = "bash"

# What a docstring may do: a name in single backticks is a link where the site has that name.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"lowerbound {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b57a4", "color-brand-content": "#0b57a4"},
    "dark_css_variables": {"color-brand-primary": "#8ab8f0", "color-brand-content": "#8ab8f0"},
}


def list_the_rest(app: Sphinx, name: str, source: list[str]) -> None:
    """Lists, in the contents on the first page, the pages that it does not list by themselves."""
    if name == app.config.root_doc:
        listed = set(source[0].splitlines())
        rest = sorted(path.stem for path in DOCS.glob("*.md") if path.stem not in {name, *listed})
        source[0] = re.sub(r"^THE REST$", "\n".join(rest), source[0], flags=re.MULTILINE)


def link_pages(app: Sphinx, document: nodes.document) -> None:
    """Makes a link of each `docs/NAME.md` that a page names, as a reader of the files finds it."""
    for literal in list(document.findall(nodes.literal)):
        found = re.fullmatch(r"docs/([\w-]+)\.md", literal.astext())
        if not found or isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
            continue
        link = addnodes.pending_xref(
            "",
            refdoc=app.env.docname,
            refdomain="std",
            reftype="doc",
            reftarget=f"/{found[1]}",
            refexplicit=True,
            refwarn=True,
        )
        literal.replace_self(link)
        link += literal


def skip_of_others(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leaves out the methods that another library puts into our classes."""
    if inspect.isfunction(member) and not str(member.__module__).startswith("lowerbound"):
        return True
    return None


def escape_docstring(*event: Any) -> None:
    """Makes reStructuredText of a docstring, in place, before its sections are read."""
    lines = event[-1]
    lines[:] = reference.as_rst(lines)


def set_dashes(app: Sphinx, document: nodes.document) -> None:
    """Puts a dash between a parameter and what is said of it, where Sphinx has two hyphens."""
    for text in list(document.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Sphinx) -> dict[str, Any]:
    """Has the pages of the reference written before any page is read."""
    app.connect("builder-inited", lambda app: reference.write_pages(DOCS / "api"))
    app.connect("autodoc-skip-member", skip_of_others)
    app.connect("source-read", list_the_rest)
    app.connect("autodoc-process-docstring", escape_docstring, priority=100)
    app.connect("doctree-read", link_pages)
    app.connect("doctree-read", set_dashes)
    return {"parallel_read_safe": True}
