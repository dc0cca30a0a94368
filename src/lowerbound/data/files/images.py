"""Pictures: one, or a folder of them, with its parts and classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import DataError, one_line
from ..levels import DEPTHS
from ..prepare import span
from ..schema import Schema
from .decoding import Decoded, decode_pictures, read_headers
from .description import Description, count_labels, describe_shape
from .folders import Listing, is_picture, list_pictures, readable
from .labels import add_labels, find_labels
from .pictures import Form, Header
from .sizes import AUTO, Size, choose_size, tell_choice
from .sources import Raw, Source, Wanted

NAMED_FAULTS = 5
"""A message names this many files that cannot be used."""


class Images(Source):
    """A picture, or pictures anywhere below a folder, in the natural order of their paths."""

    summary = "a picture or a folder of pictures (PNG, JPEG, WebP, TIFF, BMP, GIF, PNM)"
    fallback = True

    def claims(self, path: Path) -> bool:
        """Says whether the path is a folder, or a picture by its suffix or its first bytes.

        A folder may hold pictures if no other kind claims it.
        """
        return path.is_dir() or (path.is_file() and is_picture(path.parent, path.name))

    def read(self, path: Path, wanted: Wanted) -> Raw:
        """Decodes all pictures to uint8 or uint16 (N, C, H, W), by the rules of `pictures`.

        Raises:
            DataError: files cannot be used, or pictures are of unlike size; the message names them.
        """
        listing = _list(path, wanted)
        headers, faults = read_headers(listing, wanted.max_pixels)
        form = _choose_form(listing, headers, faults, wanted)
        decoded = decode_pictures(listing, headers, form, wanted.max_pixels)
        faults |= decoded.faults
        if faults and not (wanted.skip_broken and len(decoded.values)):
            raise DataError(_describe_faults(listing, faults, wanted))
        used = listing.take(np.array([row for row in range(len(headers)) if row not in faults]))
        read = [header for header in headers if header is not None]
        notes = _describe_reading(read, form, wanted, decoded)
        if faults:
            notes.insert(0, f"{_name_faults(listing, faults)}; they are passed over")
        return Raw(
            str(path),
            "image",
            decoded.values,
            _levels(path, decoded.values, form, wanted.like),
            labels=used.labels,
            train=used.train,
            validation=used.validation,
            names={"file": np.array([readable(name) for name in used.names])},
            notes=(*used.notes, *notes),
        )

    def describe(self, path: Path, wanted: Wanted) -> Description:
        """Describes pictures by their headers; none is decoded.

        Raises:
            DataError: there are no pictures.
        """
        listing = _list(path, wanted)
        headers, faults = read_headers(listing, wanted.max_pixels)
        read = [header for header in headers if header is not None]
        found = Description(
            str(path),
            "image",
            len(listing.names),
            labels=count_labels(listing.labels),
            train=listing.train,
            validation=listing.validation,
            notes=(*listing.notes, *_describe_files(listing, read)),
        )
        if faults and not wanted.skip_broken:
            return replace(found, problem=_describe_faults(listing, faults, wanted))
        try:
            form = _choose_form(listing, headers, faults, wanted)
        except DataError as error:
            return replace(found, problem=str(error))
        facts = describe_shape(form.shape, form.levels)
        if form.is_deep:
            return replace(found, facts=(facts[0], f"up to {facts[1]}"))
        return replace(found, facts=facts, levels=form.levels)


def _describe_files(listing: Listing, headers: Sequence[Header]) -> list[str]:
    """Says how pictures are named and of which sizes they are."""
    endings = Counter(Path(name).suffix.lower() for name in listing.names)
    named = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common())
    sizes = Counter(_sizes(headers))
    if not sizes:
        return [f"files: {named}"]
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    lengths = _by(by_area[0])
    if len(sizes) > 1:
        lengths = f"{lengths} to {_by(by_area[-1])}, {len(sizes):,} sizes"
    return [f"files: {named}", f"sizes: {lengths} (height x width)"]


def _list(path: Path, wanted: Wanted) -> Listing:
    """Lists the pictures of a source, with the labels of a file where they are wanted.

    Other pictures than a model's need no labels.

    Raises:
        DataError: there are no pictures; or the file of labels is missing, or names none of them.
    """
    if wanted.labels is None:
        return list_pictures(path)
    try:
        labels = find_labels(path, wanted.labels)
        return add_labels(list_pictures(path, labels), labels, wanted.text)
    except DataError as error:
        if wanted.like is None:
            raise
        listing = list_pictures(path)
        return replace(listing, notes=(*listing.notes, f"no labels: {error}"))


def _choose_form(
    listing: Listing,
    headers: Sequence[Header | None],
    faults: Mapping[int, str],
    wanted: Wanted,
) -> Form:
    """Chooses what all pictures become: what a model wants, what is asked for, or what they are.

    Colours are kept if one picture has some, and more than 8 bits if all have them.

    Raises:
        DataError: no header can be read, or the pictures are of unlike size and none is asked for.
    """
    read = [header for header in headers if header is not None]
    if not read:
        raise DataError(_describe_faults(listing, faults, wanted))
    levels = 2**8
    if all(header.is_deep for header in read):
        levels = 2**16
    model = wanted.like
    if model is not None and model.shape[0] in (1, 3):
        channels, height, width = model.shape
        return Form(channels, height, width, model.levels or levels)
    channels = 3
    if wanted.grey or all(header.is_grey for header in read):
        channels = 1
    size = wanted.size
    if size == AUTO:
        size = choose_size(_sizes(read))
    if size is None:
        size = _common_size(listing, headers, faults)
    return Form(channels, *size, levels)


def _sizes(headers: Sequence[Header]) -> list[Size]:
    """Returns the (height, width) of each picture."""
    return [(header.height, header.width) for header in headers]


def _common_size(
    listing: Listing, headers: Sequence[Header | None], faults: Mapping[int, str]
) -> tuple[int, int]:
    """Returns the (height, width) of all pictures.

    Raises:
        DataError: they differ; the message has all that is to be mended.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    examples: dict[tuple[int, int], Path] = {}
    for path, header in zip(listing.paths(), headers, strict=True):
        if header is not None:
            size = (header.height, header.width)
            sizes[size] += 1
            examples.setdefault(size, path)
    (height, width), _ = sizes.most_common(1)[0]
    if len(sizes) == 1:
        return height, width
    (first_size, first), (second_size, second) = list(examples.items())[:2]
    more = ""
    if len(sizes) > 2:
        more = f", {len(sizes)} sizes in all"
    if faults:
        more += f"; {_name_faults(listing, faults)}"
    raise DataError(
        f"images differ in size: {_show(first)} is {_by(first_size)}, {_show(second)} is "
        f"{_by(second_size)} (height x width){more}; resize them with --set "
        f"data.size={_by((height, width))}"
    )


def _by(size: tuple[int, int]) -> str:
    """Writes a (height, width) for a message."""
    return "x".join(map(str, size))


def _show(path: Path) -> str:
    """Writes the path of a file for a message."""
    return one_line(readable(str(path)), 160)


def _describe_faults(listing: Listing, faults: Mapping[int, str], wanted: Wanted) -> str:
    """Names the files that cannot be used, and what to do.

    The settings of a model are those of its fit, and no way out for other pictures.
    """
    advice = ""
    if len(listing.names) > 1:
        advice = "; mend or remove them"
        if wanted.like is None and not wanted.skip_broken:
            advice += ", or pass over them with data.skip_broken=true"
    return f"{_name_faults(listing, faults)}{advice}"


def _name_faults(listing: Listing, faults: Mapping[int, str]) -> str:
    """Names the files that cannot be used, and why."""
    rows = sorted(faults)
    if len(listing.names) == 1:
        reason = one_line(faults[rows[0]], 200)
        return f"{_show(listing.paths()[0])} cannot be used as an image: {reason}"
    named = []
    for row in rows[:NAMED_FAULTS]:
        name = one_line(readable(listing.names[row]), 80)
        named.append(f"{name} ({one_line(faults[row], 100)})")
    if len(rows) > NAMED_FAULTS:
        named.append("...")
    return (
        f"{len(rows):,} of the {len(listing.names):,} image files of {_show(listing.root)} cannot "
        f"be used: {', '.join(named)}"
    )


def _describe_reading(
    headers: Sequence[Header], form: Form, wanted: Wanted, decoded: Decoded
) -> list[str]:
    """Says which rules have changed pictures, in sentences."""
    notes: list[str] = []
    total = len(headers)
    if wanted.size == AUTO:
        notes += tell_choice(_sizes(headers), (form.height, form.width))
    if decoded.transparent:
        count = decoded.transparent
        notes.append(f"{count:,} of {total:,} images have transparent pixels, laid over white")
    cut = sum(header.is_cut or (header.is_deep and not form.is_deep) for header in headers)
    if cut:
        notes.append(f"{cut:,} of {total:,} images have 16 bits, of which the upper 8 are read")
    shallow = sum(not header.is_deep for header in headers)
    if shallow and form.levels != 2**8:
        notes.append(f"the 8 bits of {shallow:,} of {total:,} images become {form.levels:,} levels")
    animated = sum(header.has_frames for header in headers)
    if animated:
        notes.append(f"{animated:,} of {total:,} images have frames or pages; the first is read")
    if wanted.like is not None:
        notes += _describe_fitting(headers, form, wanted)
    if decoded.kept is not None:
        size = decoded.kept.stat().st_size / 2**30
        notes.append(
            f"the images take more than memory should hold: {decoded.kept} keeps them "
            f"({size:,.2f} GiB), and may be removed"
        )
    return notes


def _describe_fitting(headers: Sequence[Header], form: Form, wanted: Wanted) -> list[str]:
    """Says what pictures had to change for a model."""
    notes = []
    total = len(headers)
    resized = sum((header.height, header.width) != form.shape[1:] for header in headers)
    if resized:
        size = _by((form.height, form.width))
        notes.append(f"{resized:,} of {total:,} images are resized to {size}, the model's size")
    coloured = sum(not header.is_grey for header in headers)
    if coloured and form.channels == 1 and not wanted.grey:
        notes.append(f"{coloured:,} of {total:,} images in colour become grey, as the model's are")
    return notes


def _levels(path: Path, values: np.ndarray, form: Form, model: Schema | None) -> int:
    """Returns the number of levels of pictures, or of those of a model.

    Raises:
        DataError: the values are beyond the levels of the model.
    """
    if not form.is_deep:
        return form.levels
    highest = int(span(values)[1].max())
    if model is None or model.levels is None:
        return 2 ** min(depth for depth in DEPTHS if highest < 2**depth)
    if highest >= model.levels:
        raise DataError(
            f"{_show(path)} has values up to {highest:,}, and the model was trained on "
            f"{model.levels:,} levels; fit one to images as bright as these"
        )
    return model.levels
