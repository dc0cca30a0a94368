"""How text files are written is found, whatever it is, told, and can be set."""

import codecs
import gzip
import resource
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowerbound.data import Data
from lowerbound.data.files.dialect import (
    PIECE,
    Dialect,
    TextFormat,
    find_header,
    find_separator,
)
from lowerbound.data.files.texts import LONGEST_SPAN, find_dialect, scan_texts
from lowerbound.errors import ConfigError, DataError

Rows = list[tuple[str | None, ...]]


def read(
    folder: Path, content: str | bytes, name: str = "x.csv", **asked: object
) -> tuple[Dialect, Rows]:
    """Writes a text file, and reads its dialect and its rows."""
    path = folder / name
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    dialect = find_dialect(path, TextFormat(**asked))  # type: ignore[arg-type]
    frame = scan_texts(path, dialect).collect()
    assert len(frame) == dialect.rows
    return dialect, frame.rows()


def refused(folder: Path, content: str | bytes, name: str = "x.csv", **asked: object) -> str:
    """Reads a text file that is refused, and returns the one line that says why."""
    with pytest.raises((DataError, ConfigError)) as caught:
        read(folder, content, name, **asked)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Any table in any dialect

NUMBERS = st.decimals(-1000, 1000, places=2, allow_nan=False).map(lambda number: f"{number:f}")
"""Numbers with two decimals, which no comma between thousands leaves."""

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-16-le": b"",
    "utf-16-be": b"",
    "cp1252": b"",
    "latin-1": b"",
    "utf-16-be with a mark": codecs.BOM_UTF16_BE,
}
"""The encodings that are found, with a mark that Python's encoder does not write."""


@settings(max_examples=100)
@given(
    rows=st.integers(2, 4).flatmap(
        lambda width: st.lists(st.tuples(*[NUMBERS] * width), min_size=2, max_size=12)
    ),
    separator=st.sampled_from([",", ";", "\t", "|", "::", " "]),
    comma=st.booleans(),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoted=st.booleans(),
    comments=st.sampled_from(["", "# station 7", "% made by hand on Sunday", "// one", "sep"]),
    final=st.booleans(),
    header=st.booleans(),
)
def test_a_table_in_any_dialect_reads_to_the_same_numbers(
    rows: list[tuple[str, ...]],
    separator: str,
    comma: bool,
    encoding: str,
    end: str,
    quoted: bool,
    comments: str,
    final: bool,
    header: bool,
) -> None:
    """Separator, decimal mark, encoding, line ends, quotes, comments and header do not matter."""
    names = tuple(f"größe_{position}" for position in range(len(rows[0])))
    lines = list(rows)
    if comma and separator != ",":
        lines = [tuple(number.replace(".", ",") for number in row) for row in rows]
    if header:
        lines.insert(0, names)
    if quoted and separator != " ":
        lines = [tuple(f'"{field}"' for field in line) for line in lines]
    written = [separator.join(line) for line in lines]
    if comments == "sep":
        if len(separator) == 1 and separator != " ":
            written.insert(0, f"sep={separator}")
    elif comments:
        written.insert(0, comments)
    text = end.join(written) + end * final
    content = ENCODINGS[encoding] + text.encode(encoding.split()[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(content)
        data = Data(str(path), standardize=False)
        raw = find_dialect(path)
        assert raw.rows == len(rows)
        assert raw.header == header
        if header:
            assert raw.columns == names
        expected = np.array(rows, np.float64)
        if (expected != expected[0]).any(axis=0).all() and len(rows) > 6:
            data = Data(str(path), standardize=False, validation=0, test=0)
            np.testing.assert_array_equal(data.open().whole.values, expected)


FIELDS = st.text(st.sampled_from('ab ,;"\n\té'), max_size=6)
"""Texts that need quotes."""


@settings(max_examples=50)
@given(
    rows=st.lists(st.tuples(*[FIELDS] * 3), min_size=1, max_size=8).filter(
        lambda rows: any(",," in field or "\n" not in field for row in rows for field in row)
    )
)
def test_any_texts_that_are_quoted_come_back(rows: list[tuple[str, ...]]) -> None:
    """Separators, line ends and doubled marks within quotes are part of the text."""
    lines = [("first", "second", "third"), *rows]
    text = ""
    for line in lines:
        text += ",".join('"' + field.replace('"', '""') + '"' for field in line) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        dialect, found = read(Path(folder), text, header=True, separator=",")
        assert [tuple(field or "" for field in row) for row in found] == rows
        assert dialect.spans == sum("\n" in field for line in rows for field in line)


# Separators


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["a,b", "1,2"], ","),
        (["a;b", "1,5;2,5", "3,5;4,5"], ";"),
        (["1,5;2,5", "3,5;4,5"], ";"),
        (["temp, C;pressure, hPa", "1,5;2,5"], ";"),
        (["item,title", "1,Foo;Bar", "2,Baz;Qux"], ","),
        (["movie,title,genres", "1,Toy Story,A|B|C"], ","),
        (["1::Toy Story (1995)::A|B", "2::Heat::C"], "::"),
        (["user\tsong, long", "1\ta", "2\tb, c"], "\t"),
        (["1.0 2.0", "3.0 4.0"], " "),
        (["a   b", "1\t  2", "33 4"], " "),
        (['"a;b",c', '"1;2",3'], ","),
        (["value", "1", "2"], ","),
        (["my value", "1", "2"], ","),
        (["user,time", "u1,2024-01-01 10:00:00"], ","),
        (["u1,Film 14", "u2,Film 7"], ","),
        (["u1;Film 14", "u2;Film 7"], ";"),
        (["1,5 2,5", "3,5 4,5"], " "),
        (["temp,C pressure,hPa", "1,5 2,5", "3,5 4,5"], " "),
    ],
    ids=str,
)
def test_the_separator_is_found(lines: list[str], separator: str) -> None:
    """It gives each line the width of the first, and of several the one that leaves numbers."""
    assert find_separator(lines, '"', ",") == separator


@pytest.mark.parametrize(
    "name", ["x.csv", "x.tsv", "x.txt", "x.dat", "x.data", "x.tab", "x.csv.gz", "x.TSV", "x.dat.gz"]
)
def test_all_text_suffixes_are_tables(tmp_path: Path, name: str) -> None:
    """The suffix does not say how a text is written."""
    content = b"a;b\n1,5;2\n3;4,25\n"
    if name.endswith(".gz"):
        content = gzip.compress(content)
    (tmp_path / name).write_bytes(content)
    data = Data(str(tmp_path / name), standardize=False, validation=0, test=0).open()
    assert data.whole.values.tolist() == [[1.5, 2], [3, 4.25]]
    assert "';' (data.separator)" in data.notes[0]
    assert "',' (data.decimal)" in data.notes[0]


# Headers


@pytest.mark.parametrize(
    ("first", "rows", "is_header"),
    [
        ("a,b", ["1,2"], True),
        ("a,b", [], True),
        ("1,2", [], False),
        ("1,2", ["3,4"], False),
        ("2001,2002,2003", ["1.5,2.5,3.5"], False),
        ("0,1,2,3,4", ["1.5,2,3,4,5"], True),
        (",0,1,2", ["0,1.5,2.5,3.5"], True),
        (",1,2", ["0,3,4"], False),
        ("1,NA,2", ["3,4,5"], False),
        ("u1,i1", ["u1,i2", "u2,i1"], False),
        ("u1,i9,3", ["u2,i8,4", "u3,i7,5"], False),
        ("user,item", ["u1,i1", "u1,i2"], True),
        ("city,country", ["Rome,Italy", "Oslo,Norway"], True),
        ("u1,2024-01-02,5", ["u2,2024-01-03,4"], False),
        ("user,time,rating", ["u2,2024-01-03,4"], True),
        ("5.1,3.5,setosa", ["4.9,3.0,setosa", "7.0,3.2,virginica"], False),
        ("gene,2001,2002", ["BRCA,0.1,0.2", "TP53,0.3,0.4"], True),
        ("?,1", ["2,3"], False),
    ],
    ids=str,
)
def test_a_header_is_told_from_values(first: str, rows: list[str], is_header: bool) -> None:
    """Numbers are no names, and a name does not stand again in its column."""
    fields = [row.split(",") for row in rows]
    assert find_header(first.split(","), fields, ".") == is_header


def test_columns_without_a_header_have_numbered_names_and_that_is_told(tmp_path: Path) -> None:
    dialect, rows = read(tmp_path, "1,2,3,4\n5,6,7,8\n")
    assert dialect.columns == ("column_1", "column_2", "column_3", "column_4")
    assert rows == [("1", "2", "3", "4"), ("5", "6", "7", "8")]
    assert "column_1 to column_4 (data.header)" in dialect.notes()[0]


def test_a_header_can_be_set(tmp_path: Path) -> None:
    assert read(tmp_path, "1,2\n3,4\n", header=True)[0].columns == ("1", "2")
    assert read(tmp_path, "a,b\n3,4\n", header=False)[1] == [("a", "b"), ("3", "4")]


def test_a_header_that_numpy_wrote_as_a_comment_has_the_names(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.txt", np.eye(2), header="a b")
    dialect = find_dialect(tmp_path / "x.txt")
    assert dialect.columns == ("a", "b")
    assert dialect.rows == 2


def test_names_are_in_composed_form_without_blanks(tmp_path: Path) -> None:
    """How an accent is encoded does not make another name."""
    decomposed = unicodedata.normalize("NFD", "façade")
    dialect, _ = read(tmp_path, f"{decomposed}, b \n1,2\n")
    assert dialect.columns == ("façade", "b")
    message = refused(tmp_path, f"{decomposed},façade\n1,2\n")
    assert "more than once" in message


# Encodings, line ends, comments


def test_the_encoding_is_told_and_can_be_set(tmp_path: Path) -> None:
    content = "größe,b\nä,x\nö,y\n".encode("cp1252")
    dialect, rows = read(tmp_path, content)
    assert dialect.columns == ("größe", "b")
    assert rows[0] == ("ä", "x")
    assert "cp1252 (data.encoding)" in dialect.notes()[0]
    assert read(tmp_path, content, encoding="latin-1")[1] == rows
    assert "is no text in utf-8" in refused(tmp_path, content, encoding="utf-8")
    for encoding in ("base64", "no such", "\0"):
        assert "data.encoding" in refused(tmp_path, content, encoding=encoding)


def test_a_byte_that_is_no_utf8_far_below_the_head_is_found(tmp_path: Path) -> None:
    """The whole of a file is looked at, and not its head alone."""
    lines = b"a,b\n" + b"1,x\n" * 200_000
    dialect, rows = read(tmp_path, lines + "2,é\n".encode("latin-1"))
    assert dialect.encoding == "cp1252"
    assert rows[-1] == ("2", "é")


def test_few_damaged_characters_do_not_make_another_encoding(tmp_path: Path) -> None:
    """One wrong byte among many sound characters leaves those as they are."""
    dialect, rows = read(tmp_path, b"a,b\n" + "é,2\n".encode() * 100 + b"\xe9,2\n")
    assert rows[0] == ("é", "2")
    assert rows[-1] == ("\ufffd", "2")
    assert "U+FFFD: 1 (data.encoding)" in dialect.notes()[0]


def test_latin_1_has_what_windows_lacks(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n\x81\xe9,x\n\xe9,y\n")[0].encoding == "latin-1"
    assert read(tmp_path, b"a,b\n\x80\xe9,x\n\xe9,y\n")[1][0] == ("€é", "x")


@pytest.mark.parametrize("content", [b"PK\x03\x04\0\0", b"a,b\n1,\0\n", b"\0\1\2\3" * 99])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "is no text: it holds zero bytes" in refused(tmp_path, content)


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_end_in_any_way(tmp_path: Path, end: str) -> None:
    dialect, rows = read(tmp_path, end.join(["a,b", "1,2", "3,4", ""]))
    assert rows == [("1", "2"), ("3", "4")]
    assert ("lines end in CR" in str(dialect.notes())) == (end == "\r")


def test_lone_returns_end_lines_wherever_they_stand(tmp_path: Path) -> None:
    """A file of which only a line far below the head ends in CR loses no row."""
    dialect, rows = read(tmp_path, "a,b\n" + "1,2\n" * 200_000 + "3,4\r5,6\r\n")
    assert len(rows) == 200_002
    assert "CR and in LF" in dialect.notes()[0]
    assert read(tmp_path, 'a,b\n1,"x\ry"\n2,z\n')[1] == [("1", "x\ry"), ("2", "z")]


@pytest.mark.parametrize("offset", range(-2, 3))
@pytest.mark.parametrize("tail", ['1,"x\ry"\r\n', '1,"x ""y"""\r\n', '"1\n",2\r\n', "1,é\r\n"])
def test_nothing_hangs_on_where_the_file_is_cut_into_pieces(
    tmp_path: Path, offset: int, tail: str
) -> None:
    """A mark, a line end or a character may be parted between two pieces."""
    head = "a,b\r\n"
    filling = "7,8\r\n" * ((PIECE - len(head)) // 5 - 4)
    rest = PIECE - len(head) - len(filling) - tail.index(",") - 4 + offset
    row = "9" * (rest - 4) + ",8\r\n"
    dialect, rows = read(tmp_path, head + filling + row + tail * 4)
    assert len(rows) == filling.count("\n") + 5
    assert len(set(rows[-4:])) == 1
    assert dialect.damaged == 0
    assert not dialect.is_without_quotes


def test_comments_and_empty_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    dialect, rows = read(tmp_path, "# made by x, y and z\n\nco,temp\n1,2\n\n\n3,4\n\n")
    assert dialect.columns == ("co", "temp")
    assert rows == [("1", "2"), ("3", "4")]
    assert "comments or empty: 5 (data.comment)" in dialect.notes()[0]


def test_comments_between_rows_are_passed_over_where_that_is_asked_for(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "a,b\n!x\n1,2\n!y\n3,4\n", comment="!")
    assert rows == [("1", "2"), ("3", "4")]
    assert "line 2 of x.csv has 1 fields" in refused(tmp_path, "a,b\n!x\n1,2\n")


def test_items_that_begin_as_comments_do_are_values(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "user,item\n#1,a\n#1,b\n")
    assert rows == [("#1", "a"), ("#1", "b")]


# Quotation marks

BALANCED_BY_CHANCE = 'a,note,b\n1,ok,2\n3,"open,4\n5,ok,6\n7,close",8\n9,ok,10\n'


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (BALANCED_BY_CHANCE, ['"open', 'close"']),
        ('a\tb\n1\t"weird" al\n2\tx\n3\tthe "b" sides\n4\t7" single\n', ['"weird" al']),
        ('a,b\n1,"Heroes\n2,x\n3,y\n', ['"Heroes']),
        ('a,b\n1,"x""\n2,"y"\n', ['"x""']),
        ('"a,b\n1,x"\n2,y\n', ['x"']),
        ('a,b\n1,7" x\n2,y\r3,z\n', ["z"]),
    ],
    ids=[
        "balanced by chance",
        "within fields",
        "open",
        "doubled at the end",
        "in the header",
        "before a line that ends in CR",
    ],
)
def test_stray_marks_are_part_of_the_text_and_lose_no_row(
    tmp_path: Path, text: str, notes: list[str]
) -> None:
    """There are as many rows as lines, and the marks stay where they are."""
    dialect, rows = read(tmp_path, text)
    assert len(rows) == len(text.splitlines()) - 1
    assert dialect.quote == ""
    assert "part of the text (data.quote)" in dialect.notes()[0]
    fields = [field for row in rows for field in row]
    for note in notes:
        assert note in fields


def test_texts_of_several_lines_are_told_of(tmp_path: Path) -> None:
    dialect, rows = read(tmp_path, 'a,b\n1,"x\ny"\n2,"z, w\nq\n\nr"\n3,k\n')
    assert rows == [("1", "x\ny"), ("2", "z, w\nq\n\nr"), ("3", "k")]
    assert "several lines: 2, the first from line 2 (data.quote)" in dialect.notes()[0]


def test_a_text_of_far_too_many_lines_is_refused(tmp_path: Path) -> None:
    text = 'a,b\n"' + "x\n" * (LONGEST_SPAN + 1) + '",2\n'
    assert "data.quote=''" in refused(tmp_path, text)


def test_marks_around_fields_and_marks_within_fields(tmp_path: Path) -> None:
    """A quoted field with a separator is one field, though another has a mark in its text."""
    dialect, rows = read(tmp_path, 'a,b\n1,5" pipe\n2,"Smith, J"\n3, "x ""y"""\n')
    assert rows == [("1", '5" pipe'), ("2", "Smith, J"), ("3", 'x "y"')]
    assert "within fields" in dialect.notes()[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("final", ["", "\n", "\n\n"])
def test_marks_within_fields_leave_the_count_of_lines(tmp_path: Path, end: str, final: str) -> None:
    """Empty lines are passed over and counted, whether the last line ends or not."""
    lines = ["a,b", '1,5" pipe', '2,"Smith, J"', "3,x"]
    dialect, rows = read(tmp_path, end.join(lines) + final)
    assert rows == [("1", '5" pipe'), ("2", "Smith, J"), ("3", "x")]
    between = 3 * (end == "\n\n")
    assert dialect.passed_over == between + (final == "\n\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("header", ['"a";"b"', '"a; x";b', '"a\n1";"b"'])
def test_a_quoted_name_behind_a_mark_of_the_encoding_is_quoted(
    tmp_path: Path, end: str, header: str
) -> None:
    """Excel writes such files: the byte order mark is no part of the first field."""
    text = "\n".join([header, "1,5;2", "3;4,5", ""]).replace("\n", end)
    dialect, rows = read(tmp_path, codecs.BOM_UTF8 + text.encode())
    first, _ = header.rsplit(";", 1)
    assert dialect.columns == (first.strip('"'), "b")
    assert not dialect.is_without_quotes
    assert rows == [("1,5", "2"), ("3", "4,5")]


def test_the_quotation_mark_can_be_set(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n'x,y',2\n", quote="'")[1] == [("x,y", "2")]
    assert read(tmp_path, 'a,b\n"x",2\n', quote="")[1] == [('"x"', "2")]
    assert "enclose no fields" in refused(tmp_path, 'a,b\n1,x"\n', quote='"')


def test_names_of_several_lines_are_told_by_what_separates_them(tmp_path: Path) -> None:
    """A spreadsheet writes a cell with a line break so."""
    text = 'time;"temp\n(C)";"wind\n\n(m/s)"\n1;2,5;3\n2;3,5;4\n'
    for asked in ({}, {"separator": ";"}):
        dialect, rows = read(tmp_path, text, **asked)
        assert dialect.columns == ("time", "temp\n(C)", "wind\n\n(m/s)")
        assert rows == [("1", "2,5", "3"), ("2", "3,5", "4")]
    # A mark that is no quote joins no rows.
    assert read(tmp_path, '"a;b\n1;x"\n2;y\n')[1] == [("1", 'x"'), ("2", "y")]


def test_empty_lines_below_a_stray_mark_are_passed_over(tmp_path: Path) -> None:
    """They are no rows, and make up for no line that is too long."""
    dialect, rows = read(tmp_path, 'a,b\n1,7" x\n\n2,y\n\n')
    assert rows == [("1", '7" x'), ("2", "y")]
    assert dialect.passed_over == 2
    assert "line 3 of x.csv has 3 fields" in refused(tmp_path, 'a,b\n1,7" x\n2,y,z\n\n')


# What is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,4,5\n", "line 3 of x.csv has 3 fields, its header 2 (parted by ',')"),
        ("a,b\n1\n2,3\n", "line 2 of x.csv has 1 fields, its header 2"),
        ("1,2\n3\n", "line 2 of x.csv has 1 fields, its first line 2"),
        ('a,b\n1,"2\n2"\n3,4,5\n', "line 4 of x.csv has 3 fields"),
        ("# c\na;b\n1;2\n\n3\n", "line 5 of x.csv has 1 fields, its header 2 (parted by ';')"),
        ("a,b\r1,2\r3,4,5\r", "line 3 of x.csv has 3 fields"),
        ("", "x.csv is empty"),
        ("\n\n\n", "x.csv is empty"),
        ("a,b,a\n1,2,3\n", "has the column 'a' more than once"),
    ],
    ids=str,
)
def test_what_is_no_table_of_equal_lines_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """A line that is longer or shorter than the first is told by its number in the file."""
    assert words in refused(tmp_path, text)


def test_a_short_and_a_long_line_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1\n2,3,4\n")
    with pytest.raises(DataError, match=r"line 2 of x\.csv has 1 fields, its header 2"):
        Data(str(tmp_path / "x.csv")).open()


def test_a_separator_that_is_in_no_line_is_refused(tmp_path: Path) -> None:
    assert "data.separator" in refused(tmp_path, "a,b\n1,2\n", separator=";")
    assert read(tmp_path, "a\tb\n1\t2\n", separator="\\t")[1] == [("1", "2")]


def test_packed_files_are_unpacked_within_limits(tmp_path: Path) -> None:
    plain = b"a,b\n" + b"1,2\n" * 1000
    assert len(read(tmp_path, gzip.compress(plain), "x.csv.gz")[1]) == 1000
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 20_000_000)
    assert "unpacks to more than" in refused(tmp_path, bomb, "x.csv.gz")
    assert "cannot be unpacked" in refused(tmp_path, gzip.compress(plain)[:-30], "x.csv.gz")
    assert "cannot be unpacked" in refused(tmp_path, b"\x1f\x8bno", "x.csv.gz")
    assert "is a compressed file" in refused(tmp_path, gzip.compress(plain), "x.csv")


WIDE = {
    "CR alone": "'id,' + '0000000001,x\\r' * 400_000",
    "one line": "'id,' + '0000000001,x,' * 2_000_000",
    "many names": "','.join(f'c{k}' for k in range(300_000)) + '\\n'",
    "many words": "'\\n'.join(','.join(f'c{k}{j}' for k in range(60_000)) for j in range(3))",
}


@pytest.mark.parametrize("name", WIDE)
def test_no_header_however_wide_costs_gigabytes(tmp_path: Path, name: str) -> None:
    """A file of some megabytes is read or refused within a gigabyte more than Python needs."""
    code = f"""
import resource
from pathlib import Path
from lowerbound.data import Data
path = Path({str(tmp_path / "x.csv")!r})
path.write_text({WIDE[name]})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Data(str(path)).open()
except ValueError as error:
    print(str(error)[:200])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    message, used = process.stdout.splitlines()
    assert "x.csv" in message
    assert int(used) < 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
