"""Which columns of a log are its users, items, ratings and times.

A column that the recipe names is taken. Else the usual names are looked for, whatever their case
and marks: `User-ID`, `userId` and `user_id` are one name. In a file
without a header places count: user, item, rating, time. There a column may be named by its number.
"""

import difflib
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from ...errors import DataError, one_line

USERS = (
    *("user", "userid", "uid", "userno", "usernumber", "userkey", "useruuid", "username"),
    *("reviewerid", "customerid", "custid", "clientid", "visitorid", "memberid", "accountid"),
    *("buyerid", "personid", "playerid", "readerid", "listenerid", "profileid"),
    *("reviewer", "customer", "client", "visitor", "member", "account", "buyer", "person"),
    *("player", "reader", "listener", "usermboxsha1", "msno"),
)
"""The usual names of columns of users, without case and marks, the surest first."""

ITEMS = (
    *("item", "itemid", "iid", "itemno", "itemkey"),
    *("movieid", "filmid", "productid", "articleid", "bookid", "trackid", "songid", "artistid"),
    *("albumid", "gameid", "appid", "videoid", "contentid", "newsid", "recipeid", "listingid"),
    *("locationid", "placeid", "poiid", "venueid", "businessid", "courseid", "animeid", "jokeid"),
    *("offerid", "asin", "parentasin", "isbn", "sku", "stockcode", "ean", "gtin"),
    *("movie", "film", "product", "article", "book", "track", "song", "artist", "album", "game"),
    *("video", "content", "location", "artistname", "trackname", "songname"),
)
"""The usual names of columns of items."""

RATINGS = ("rating", "ratings", "weight", "stars", "bookrating", "overall", "plays", "playcount")
"""The usual names of columns of ratings or weights."""

TIMES = (
    *("timestamp", "time", "datetime", "date", "ts", "unix", "unixtime", "unixtimestamp"),
    *("unixreviewtime", "reviewtime", "reviewdate", "ratingdate", "ratingtimestamp", "ratedat"),
    *("createdat", "eventtime", "eventtimestamp", "eventdate", "checkintime", "visittime"),
    *("playedat", "listenedat", "watchedat", "invoicedate", "orderdate", "purchasedate"),
)
"""The usual names of columns of times."""

LIKELY_USERS = ("sessionid", "session", "deviceid", "device", "cookie", "ip")
"""Columns that are proposed as users where there are no others, but not taken for them."""

SURE_PLACES = ("user", "item", "rating", "timestamp")
"""What the columns of a file without a header are, by their places."""


@dataclass(frozen=True)
class Columns:
    """Which columns to read; `Interactions` describes them.

    A rating or a timestamp that is None is looked for under its usual names, and may be missing.
    Times are read only if `timed`. Of data that a run reads later nothing can be set: `of_run`.
    """

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    timestamp: str | None = None
    timed: bool = False
    time_format: str | None = None
    of_run: bool = False

    @property
    def has_format(self) -> bool:
        """Whether the recipe gives the format of times, such as "%m/%d/%Y"."""
        return self.time_format is not None and "%" in self.time_format

    @property
    def are_usual(self) -> bool:
        """Whether the recipe names neither users nor items."""
        return self.user == "user" and self.item == "item"


@dataclass(frozen=True)
class Found:
    """The columns of a log.

    Attributes:
        names: the columns of "user" and "item", and of "rating" and "timestamp" where they are
            there and of use.
        notes: sentences on how they were found.
    """

    names: dict[str, str]
    notes: tuple[str, ...] = ()


USUAL: dict[str, tuple[str, ...]] = {
    "user": USERS,
    "item": ITEMS,
    "rating": RATINGS,
    "timestamp": TIMES,
}
"""The usual names by the keys of `Interactions`."""

PLURALS = {"user": "users", "item": "items", "rating": "ratings", "timestamp": "times"}


def plain_name(name: str) -> str:
    """Returns a name without case and marks: `userid` for `User-ID`."""
    folded = unicodedata.normalize("NFC", name).casefold()
    return "".join(character for character in folded if character.isalnum())


def find_named(names: list[str], asked: str) -> str | None:
    """Finds the column of a name, at first as it is written and then whatever its case."""
    if asked in names:
        return asked
    for name in names:
        if plain_name(name) == plain_name(asked):
            return name
    return None


def find_usual(names: list[str], usual: tuple[str, ...]) -> list[str]:
    """Finds the columns that have one of the usual names, the surest first."""
    found = []
    for candidate in usual:
        found += [name for name in names if plain_name(name) == candidate]
    return found


def find_columns(names: list[str], asked: Columns, source: str, hint: str = "") -> Found:
    """Finds the columns of a log that has a header.

    Args:
        names: the columns of the log.
        asked: what the recipe names.
        source: the source as it appears in messages.
        hint: what the message ends with where the usual names are not found.

    Raises:
        DataError: users or items are missing, or a column that the recipe names: one line that
            says of each what to set. Or one column would be both.
    """
    wanted = {"user": asked.user, "item": asked.item, "rating": asked.rating}
    if asked.timed:
        wanted["timestamp"] = asked.timestamp
    found: dict[str, str] = {}
    missing: dict[str, str | None] = {}
    others: list[str] = []
    for key, name in wanted.items():
        is_usual = name is None or name == key
        if is_usual:
            candidates = find_usual(names, USUAL[key])
            if key in ("user", "item"):
                others += [f"data.interactions.{key}={other}" for other in candidates[1:]]
        else:
            candidates = [column for column in [find_named(names, str(name))] if column is not None]
        if candidates:
            found[key] = candidates[0]
        elif not is_usual or key in ("user", "item"):
            missing[key] = None if is_usual else name
    if missing:
        message = _describe_missing(missing, names, source, asked.of_run)
        if None in missing.values() and not asked.of_run:
            message += hint
        raise DataError(message)
    if found["user"] == found["item"]:
        raise DataError(
            f"{source}: users and items would both be read from {found['user']!r}; name another "
            "column by data.interactions.user or data.interactions.item"
        )
    return Found(found, _describe_found(found, others))


def _describe_missing(
    missing: dict[str, str | None], names: list[str], source: str, of_run: bool
) -> str:
    """Words the message for columns that are missing, by their keys."""
    lacks = []
    keys = []
    for key, name in missing.items():
        if name is None:
            lacks.append(f"no column of {PLURALS[key]}")
        else:
            lacks.append(f"no column {name!r} of {PLURALS[key]}")
        keys.append(f"data.interactions.{key}={_propose(key, name, names)}")
    columns = ", ".join(names) or "none"
    way_out = f"name what is there by {', '.join(keys)}"
    if of_run:
        called = " and ".join(repr(name or key) for key, name in missing.items())
        way_out = f"the run reads other data by the names of its own: call them {called}"
    return one_line(f"{source} has {' and '.join(lacks)}; {way_out} (its columns: {columns})")


def _propose(key: str, name: str | None, names: list[str]) -> str:
    """Proposes a column for a key: the nearest name, or a likely one."""
    nearest = difflib.get_close_matches(name or key, names, n=1, cutoff=0.6)
    if key == "user":
        nearest += find_usual(names, LIKELY_USERS)
    return [*nearest, "COLUMN"][0]


def _describe_found(found: dict[str, str], others: list[str]) -> tuple[str, ...]:
    """Words the notes on columns that have other names than their keys, and on other candidates."""
    notes = []
    if any(name != key for key, name in found.items()):
        notes.append(f"columns: {_list_columns(found)} (data.interactions names others)")
    if others:
        notes.append(f"other columns may be meant: {', '.join(others)}")
    return tuple(notes)


def _list_columns(found: dict[str, str]) -> str:
    """Lists what is read from which column."""
    return ", ".join(f"{PLURALS[key]} from {name!r}" for key, name in found.items())


def find_places(names: list[str], asked: Columns, third_is_time: bool, source: str) -> Found:
    """Finds the columns of a log without a header, by their places or by the numbers asked for.

    Args:
        names: "column_1", "column_2" and so on.
        asked: what the recipe names.
        third_is_time: of three columns the last holds times, and no ratings.
        source: the source as it appears in messages.

    Raises:
        DataError: there are more columns than four and nothing says which are which, or a column
            that the recipe names is missing.
    """
    asked = _name_numbers(asked)
    if not asked.are_usual:
        return find_columns(names, asked, source)
    if not 2 <= len(names) <= len(SURE_PLACES):
        raise DataError(
            f"{source} has no header and {len(names)} columns; allowed without more words: 2 to "
            f"{len(SURE_PLACES)} ({', '.join(SURE_PLACES)}); name them by their numbers, such as "
            "data.interactions.user=1 and data.interactions.item=2; if its first line is a header, "
            "set data.header=true"
        )
    places = dict(zip(SURE_PLACES, names, strict=False))
    if third_is_time and len(names) == 3:
        places["timestamp"] = places.pop("rating")
    for key, name in (("rating", asked.rating), ("timestamp", asked.timestamp)):
        if name is not None and name not in names:
            raise DataError(_describe_missing({key: name}, names, source, asked.of_run))
        if name is not None:
            places[key] = name
    note = f"columns by their places: {_list_columns(places)} (data.interactions names others)"
    if not asked.timed:
        places.pop("timestamp", None)
    return Found(places, (note,))


def _name_numbers(asked: Columns) -> Columns:
    """Names the columns that are asked for by their numbers: `column_2` for `2`."""
    for key in SURE_PLACES:
        name = getattr(asked, key)
        if name is not None and name.isdecimal():
            numbered: dict[str, Any] = {key: f"column_{name}"}
            asked = replace(asked, **numbered)
    return asked
