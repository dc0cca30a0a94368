"""Each form of data that `docs/data.md` lists, written and read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.forms import FORMS, GREYS, NUMBERS, PAIRS, Form
from lowerbound.data import Data, Dataset, Interactions

PAGE = Path(__file__).parents[2] / "docs" / "data.md"

EXAMPLES = [form for form in FORMS if form.kind != "log"]
LOGS = [form for form in FORMS if form.kind == "log"]


def name_of(form: Form) -> str:
    return form.have


def opened(form: Form, folder: Path) -> Dataset:
    """Opens a form as a source from which nothing is cut."""
    source = form.make(folder)
    options: dict[str, Any] = dict(form.options)
    if form.kind == "log":
        options["interactions"] = Interactions()
    if isinstance(source, Path):
        return Data(str(source), validation=0, test=0, **options).open()
    return Data("<memory>", validation=0, test=0, **options).open(source=source)


@pytest.mark.parametrize("form", EXAMPLES, ids=name_of)
def test_examples_are_read_as_the_page_says(form: Form, tmp_path: Path) -> None:
    """The values are those that were written, in the units of the source, and all are there."""
    dataset = opened(form, tmp_path)
    expected = form.expected
    if expected is None:
        expected = {"table": NUMBERS, "image": GREYS[:, None]}[form.kind]
    values = dataset.whole.batch(slice(None)).numpy()
    found = dataset.schema.restore(values)
    assert dataset.schema.kind == form.kind
    # Standardised values are float32: 1,000 and -20 in one column differ by 1e-4 of that.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    said = " ".join(dataset.notes)
    for words in form.notes:
        assert words in said
    if form.labels is not None:
        assert dataset.whole.labels is not None
        assert dataset.whole.labels.tolist() == form.labels
    if form.parts is not None:
        parts = (dataset.train, dataset.validation, dataset.test)
        assert tuple(len(part or ()) for part in parts) == form.parts
    if form.files is not None:
        assert dataset.whole.names_of_rows()["file"].tolist() == form.files


@pytest.mark.parametrize("form", LOGS, ids=name_of)
def test_logs_are_read_as_the_page_says(form: Form, tmp_path: Path) -> None:
    """The pairs are those that were written."""
    dataset = opened(form, tmp_path)
    assert dataset.items is not None
    pairs = form.expected or PAIRS
    assert sorted(map(str, dataset.items.ids)) == sorted({item for _, item in pairs})
    assert dataset.facts["kept"] == len(pairs)
    assert dataset.facts["users"] == len({user for user, _ in pairs})
    said = " ".join(dataset.notes)
    for words in form.notes:
        assert words in said


def test_the_page_has_these_forms() -> None:
    """The first table of the page is this one."""
    lines = ["| you have | what is read |", "|---|---|"]
    for form in FORMS:
        lines.append(f"| {form.have} | {form.read} |")
    assert "\n".join(lines) in PAGE.read_text()
