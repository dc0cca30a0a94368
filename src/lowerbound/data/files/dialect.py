"""How a text file of a table or a log is written: its encoding, separator, quotes and header.

The rules here look at single lines and fields; `heads` applies them to the beginning of a file, and
`texts` to the whole of it. Whatever a rule
finds can be set by an option of `Data`, and is told by `Dialect.notes`.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "null",
    "NULL",
    "Null",
    "None",
    "\\N",
    "?",
    "-",
    ".",
)
"""These words stand for a missing value, unless `data.missing` names others."""

SEPARATORS = (",", ";", "\t", "|", "::")
"""Fields are separated by one of these, or by blanks."""

LONG_SEPARATOR = re.compile(r"[|~^:#;,\xa6\xa7]{2,8}")
"""A separator of several characters, such as `||` or `|~|`."""

BLANKS = " "
"""This separator stands for one or more spaces or tabs."""

COMMENT_MARKS = ("#", "%", "//")
"""Lines at the top of a file that begin so are comments."""

UTF8 = ("utf-8", "utf-8-sig", "ascii")
"""These are UTF-8, with or without a mark at the beginning."""

SEPARATOR_LINE = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)
"""Excel reads the separator from such a first line."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
"""A number with a decimal point."""

COMMA_NUMBER = re.compile(r"[+-]?(\d+,\d+|,\d+)([eE][+-]?\d+)?")
"""A number with a decimal comma."""

THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""A number with a comma that may stand between thousands."""

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b.*")
"""A date, and perhaps a time after it."""

PACKED = (".gz", ".zst")
"""Text files with these suffixes after their own are compressed."""

MOST_COLUMNS = 2**16
"""A text file may have this many columns."""

HEAD = 2**18
"""So many bytes at the beginning of a file are looked at for its dialect."""

LONGEST_LINE = 2**23
"""The first line of a file may have this many bytes."""

MOST_SAMPLED = 200
"""So many lines are looked at for the dialect."""

PIECE = 2**18
"""A file is looked through in pieces of so many bytes, which the cache of a processor holds."""

LEAST_COUNTED_NAMES = 5
"""So many words 0, 1, 2, ... in a first line are names; fewer may be values."""


@dataclass(frozen=True)
class TextFormat:
    """What the user has said of the way a text file is written. `Data` explains each option.

    An attribute that is None is found from the file.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    quote: str | None = None
    comment: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] | None = None


AS_FOUND = TextFormat()
"""Everything is found from the file."""


@dataclass(frozen=True)
class Dialect:
    """How a text file is written.

    Attributes:
        path: the file.
        plain: the file that is read in its place: itself, or a copy in UTF-8 with LF, one
            character between fields, and nothing before the header.
        columns: the names of its columns, from its header or `column_1`, `column_2`, ...
        encoding: Python's name of the encoding.
        damaged: the number of its characters that are damaged, and read as U+FFFD.
        line_end: "LF" (which stands for CR LF too), "CR", or "mixed".
        separator: what separates fields; `BLANKS` for one or more spaces or tabs.
        decimal: the decimal mark.
        quote: the mark that encloses fields; empty where it encloses none.
        comment: lines that begin so are passed over, as the user has said; or empty.
        preamble: the number of lines before the header: comments, empty ones, `sep=;`.
        is_header_marked: the header is written as a comment.
        header: there is a line of names.
        missing: the words that stand for a missing value.
        rows: the number of lines below the header.
        passed_over: the number of lines that are comments or empty.
        spans: the number of quoted texts that go on over several lines.
        first_span: the line in which the first of them begins, counted from 1.
        is_mended: some quotation marks enclose fields, and others are part of a text.
        is_without_quotes: there are quotation marks, but they enclose no fields.
        sample: the fields of some of the first rows.
    """

    path: Path
    plain: Path
    columns: tuple[str, ...]
    encoding: str = "utf-8"
    damaged: int = 0
    line_end: str = "LF"
    separator: str = ","
    decimal: str = "."
    quote: str = '"'
    comment: str = ""
    preamble: int = 0
    is_header_marked: bool = False
    header: bool = True
    missing: tuple[str, ...] = MISSING
    rows: int = 0
    passed_over: int = 0
    spans: int = 0
    first_span: int = 0
    is_mended: bool = False
    is_without_quotes: bool = False
    sample: tuple[tuple[str, ...], ...] = ()

    @property
    def plain_separator(self) -> str:
        """The character between the fields of `plain`."""
        if len(self.separator) > 1:
            return "\x1f"
        return self.separator

    @property
    def is_plain(self) -> bool:
        """Whether Polars can read the file itself, as far as its first lines tell."""
        is_altered = self.preamble or self.comment or self.is_header_marked or self.is_mended
        has_character = len(self.separator) == 1 and self.separator != BLANKS
        return (
            self.encoding in UTF8
            and self.line_end == "LF"
            and has_character
            and not is_altered
            and not is_packed(self.path)
        )

    def notes(self) -> tuple[str, ...]:
        """Returns a sentence on what is not as in a plain CSV file, or nothing."""
        findings = self.findings()
        if not findings:
            return ()
        return (f"{self.path.name}: {'; '.join(findings)}",)

    def findings(self) -> list[str]:
        """Lists what is not as in a plain CSV file, each with the key that sets it."""
        findings = []
        if self.separator != usual_separator(self.path):
            findings.append(f"fields are separated by {self.separator!r} (data.separator)")
        if self.decimal != ".":
            findings.append(f"the decimal mark is {self.decimal!r} (data.decimal)")
        if self.encoding not in UTF8:
            findings.append(f"the encoding is {self.encoding} (data.encoding)")
        if self.damaged:
            findings.append(
                f"characters that are damaged, and read as U+FFFD: {self.damaged} (data.encoding)"
            )
        if self.line_end != "LF":
            findings.append(f"lines end in {self.line_end.replace('mixed', 'CR and in LF')}")
        if self.is_mended:
            findings.append("quotation marks within fields are part of the text (data.quote)")
        elif self.is_without_quotes:
            findings.append("quotation marks are read as part of the text (data.quote)")
        elif self.quote not in ("", '"'):
            findings.append(f"fields are quoted by {self.quote} (data.quote)")
        if self.spans:
            findings.append(
                f"quoted texts that go on over several lines: {self.spans}, the first from line "
                f"{self.first_span} (data.quote)"
            )
        if self.passed_over:
            passed_over = (
                f"lines passed over because they are comments or empty: {self.passed_over} "
                "(data.comment)"
            )
            if len(self.columns) == 1:
                passed_over += "; an empty line is no gap of this one column: write NA for it"
            findings.append(passed_over)
        if not self.header:
            findings.append(
                f"there is no line of names, so the columns are {_shorten(self.columns)} "
                "(data.header)"
            )
        return findings


def _shorten(columns: Sequence[str]) -> str:
    """Shows the names of the columns of a file without a header."""
    if len(columns) > 3:
        return f"{columns[0]} to {columns[-1]}"
    return ", ".join(columns)


def text_suffix(path: Path) -> str:
    """Returns the suffix of a file in small letters, without one of `PACKED` after it."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if is_packed(path):
        suffixes.pop()
    return "".join(suffixes[-1:])


def is_packed(path: Path) -> bool:
    """Says whether the name of a file is that of a compressed one."""
    return path.suffix.lower() in PACKED


def usual_separator(path: Path) -> str:
    """Returns what separates the fields of a file with such a name, if nothing else is found."""
    if text_suffix(path) in (".tsv", ".tab"):
        return "\t"
    return ","


def split_line(line: str, separator: str, quote: str) -> list[str]:
    """Splits a line into its fields.

    Quotation marks enclose a field only where they stand at both of its ends.
    """
    if separator == BLANKS:
        line = " ".join(line.split())
    if len(separator) > 1:
        # The csv module takes one character; this one is in no text.
        line = line.replace(separator, "\x1f")
        separator = "\x1f"
    if quote and quote in line:
        try:
            return next(
                csv.reader(
                    [line],
                    delimiter=separator,
                    quotechar=quote,
                    skipinitialspace=separator != "\t",
                    strict=True,
                )
            )
        except csv.Error:
            pass
    return line.split(separator)


def find_separator(lines: Sequence[str], quote: str, usual: str) -> str:
    """Finds what separates the fields of these lines, the first of which may be a header.

    It gives most lines the width of the first, which is more than 1. Of several the one counts
    between which most fields are numbers, then the one that gives most fields. Blanks count only
    where they give all lines the same width, and nothing else does or leaves as many numbers and
    stands within numbers alone, or is a tab between texts with blanks.

    Args:
        lines: the first lines of a file, without comments.
        quote: the quotation mark.
        usual: the separator where none is found, as for a single column.
    """
    best = usual
    best_score = (0.0, 0.0, 0.0)
    for separator in _list_separators(lines, usual):
        score = _score(lines, separator, quote)
        if score > best_score:
            best = separator
            best_score = score
    blanks_score = _score(lines, BLANKS, quote)
    is_even = blanks_score[0] == 1 and blanks_score[:2] > best_score[:2]
    if is_even and not (best_score[0] == 1 and _parts_words(best, lines)):
        return BLANKS
    return best


def _parts_words(separator: str, lines: Sequence[str]) -> bool:
    """Says whether blanks are part of what a separator parts, and separate nothing."""
    if separator != "\t":
        return _stands_in_words(separator, lines)
    fields = itertools.chain.from_iterable(line.split("\t") for line in lines[1:] or lines)
    texts = [field.split() for field in fields if " " in field.strip()]
    return any(not is_value(word, ".") for words in texts for word in words)


def _list_separators(lines: Sequence[str], usual: str) -> list[str]:
    """Lists what may separate the fields of these lines: also several characters of the first line,
    and then none that stands nowhere but within them.

    A comma, a semicolon or a tab after another one parts an empty field.
    """
    singles = [usual, *SEPARATORS]
    long = []
    for found in dict.fromkeys(LONG_SEPARATOR.findall(lines[0])):
        is_repeated = len(set(found)) == 1 and found[0] in ",;"
        if not is_repeated and _score(lines, found, "")[0] == 1:
            long.append(found)
    within = {single for single in singles for one in long if _stands_within(single, one, lines)}
    return [single for single in singles if single not in within] + long


def _stands_within(separator: str, long: str, lines: Sequence[str]) -> bool:
    """Says whether a separator stands in lines nowhere but within a longer one."""
    is_part = separator in long and separator != long
    return is_part and all(separator not in line.replace(long, "") for line in lines)


def _stands_in_words(separator: str, lines: Sequence[str]) -> bool:
    """Says whether, below a header, a separator stands in a word that is no number.

    In `u1,Film 14` the comma does, and in `1,5 2,5` it is a decimal mark.
    """
    words = itertools.chain.from_iterable(line.split() for line in lines[1:] or lines)
    return any(separator in word and not is_comma_number(word) for word in words)


def _score(lines: Sequence[str], separator: str, quote: str) -> tuple[float, float, float]:
    """Returns the share of lines as wide as the first, the share of numbers, and the width."""
    rows = [split_line(line, separator, quote) for line in lines]
    width = len(rows[0])
    if width == 1:
        return (0.0, 0.0, 0.0)
    same = sum(len(row) == width for row in rows)
    fields = list(itertools.chain.from_iterable(rows[1:] or rows))
    numbers = sum(is_number(field) or is_comma_number(field, separator) for field in fields)
    return (same / len(rows), numbers / max(1, len(fields)), float(width))


def find_decimal(rows: Sequence[Sequence[str]], separator: str) -> str:
    """Finds the decimal mark of these rows.

    It is the comma where some fields are numbers with a comma and none has a point, and the comma
    separates no fields. Unless semicolons do, one of the commas must be none between thousands.
    """
    fields = [field.strip() for field in itertools.chain.from_iterable(rows)]
    with_comma = [field for field in fields if is_comma_number(field, separator)]
    has_point = any("." in field and is_number(field) for field in fields)
    if has_point or not with_comma:
        return "."
    if separator == ";" or not all(map(THOUSANDS.fullmatch, with_comma)):
        return ","
    return "."


def find_header(first: Sequence[str], rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Says whether the fields `first` of the first line are names of columns, and no values.

    They are no names if all are numbers (but 0, 1, 2, ... are names, as pandas writes them). Else
    they are if one is a word above a column of numbers. Where that tells nothing they are no names
    if one stands again in its column, or has digits and is made as all words below it.
    """
    named = list(first)
    if len(named) > 1 and not named[0].strip():
        # An index has no name.
        named = named[1:]
        if _counts(named):
            return True
    if all(is_value(word, decimal) for word in named):
        return len(named) >= LEAST_COUNTED_NAMES and _counts(named)
    columns = list(zip(*(row for row in rows if len(row) == len(first)), strict=True))
    pairs = list(zip(first, columns, strict=False))
    for word, column in pairs:
        is_numeric = all(is_value(field, decimal) for field in column)
        if is_numeric and word.strip() and not is_value(word, decimal):
            return True
    return not any(_is_like(word, column) for word, column in pairs if word.strip())


def _counts(words: Sequence[str]) -> bool:
    """Says whether the words are 0, 1, 2, ..."""
    return [word.strip() for word in words] == [str(number) for number in range(len(words))]


def _is_like(word: str, column: Sequence[str]) -> bool:
    """Says whether a word stands in a column, or has digits and the shape of all that do."""
    if is_number(word):
        return False
    if word in column:
        return True
    has_digits = any(character.isdigit() for character in word)
    return has_digits and {_shape(field) for field in column} == {_shape(word)}


def _shape(word: str) -> str:
    """Returns a word with 9 for each run of digits and a for each run of letters."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", word))


def is_number(word: str) -> bool:
    """Says whether a word is a number with a decimal point."""
    return NUMBER.fullmatch(word.strip()) is not None


def is_comma_number(word: str, separator: str = ";") -> bool:
    """Says whether a word is a number with a decimal comma, where the comma separates nothing."""
    return separator != "," and COMMA_NUMBER.fullmatch(word.strip()) is not None


def is_value(word: str, decimal: str) -> bool:
    """Says whether a word is a number, a date, or stands for a missing value."""
    word = word.strip()
    if word in MISSING or DATE.fullmatch(word):
        return True
    return is_number(word) or (decimal == "," and is_comma_number(word))


def repeated(names: Sequence[str]) -> str | None:
    """Returns the first name that stands more than once, or None."""
    for name, count in Counter(names).items():
        if count > 1:
            return name
    return None


def unmark(line: str) -> str:
    """Removes the mark of a comment from the beginning of a line."""
    for mark in COMMENT_MARKS:
        if line.startswith(mark):
            return line.removeprefix(mark).lstrip()
    return line
