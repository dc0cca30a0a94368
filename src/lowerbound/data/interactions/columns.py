"""Which columns of a log are its users, items, ratings, times and kinds of events.

A column that the recipe names is taken. Else the usual names are looked for, whatever their case
and marks: `User-ID`, `userId` and `user_id` are one name. In a file
without a header places count: user, item, rating, time. There a column may be named by its number.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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

EVENTS = (
    *("event", "eventtype", "eventname", "action", "actiontype", "behavior", "behaviour"),
    *("behaviortype", "behaviourtype", "interactiontype", "activitytype", "eventkind"),
)
"""The usual names of columns of kinds of events."""

LIKELY_USERS = ("sessionid", "session", "deviceid", "device", "cookie", "ip")
"""Columns that are proposed as users where there are no others, but not taken for them."""

SURE_PLACES = ("user", "item", "rating", "timestamp")
"""What the columns of a file without a header are, by their places."""


TimeFormat = str | tuple[str, ...] | None
"""How times are written: "day-first", "month-first", a format of strftime, or several formats."""


def formats_of(time_format: TimeFormat) -> tuple[str, ...]:
    """Lists the formats of times that a recipe gives, which may be none."""
    if time_format is None:
        return ()
    if isinstance(time_format, tuple):
        return time_format
    if "%" in time_format:
        return (time_format,)
    return ()


@dataclass(frozen=True)
class Columns:
    """Which columns to read; `Interactions` describes them.

    A rating or a timestamp that is None is looked for under its usual names, and may be missing.
    Times are read only if `timed`, and kinds of events only if `events` weighs them; ratings are
    then not read, but of data that a run reads later and that have no kinds. `needed` names the
    columns that may not be missing, by their keys, each with the setting that needs it. Of data
    that a run reads later nothing can be set: `of_run`.
    """

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    timestamp: str | None = None
    timed: bool = False
    time_format: TimeFormat = None
    of_run: bool = False
    event: str | None = None
    events: Mapping[str, float] | None = None
    needed: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_format(self) -> bool:
        """Whether the recipe gives the format of times, such as "%m/%d/%Y"."""
        return self.formats != ()

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of times that the recipe gives, such as "%m/%d/%Y"."""
        return formats_of(self.time_format)

    @property
    def asked(self) -> dict[str, str | None]:
        """What the recipe names of each column that is read, by its key."""
        asked: dict[str, str | None] = {"user": self.user, "item": self.item}
        if self.events is not None:
            asked["event"] = self.event
        if self.events is None or self.of_run:
            asked["rating"] = self.rating
        if self.timed:
            asked["timestamp"] = self.timestamp
        return asked

    def for_run(self, other: bool) -> "Columns":
        """Returns the columns to read of data that a run reads later, whose times are of no use.

        Args:
            other: they are other data than the run's own. What these needed is then read where it
                is there.
        """
        needed = self.needed
        if other:
            needed = {}
        return replace(self, timed=False, of_run=other, needed=needed)

    @property
    def are_usual(self) -> bool:
        """Whether the recipe names neither users nor items."""
        return self.user == "user" and self.item == "item"


@dataclass(frozen=True)
class Found:
    """The columns of a log.

    Attributes:
        names: the columns of "user" and "item", and of "rating", "timestamp" and "event" where
            they are there and of use.
        notes: sentences on how they were found.
    """

    names: dict[str, str]
    notes: tuple[str, ...] = ()


USUAL: dict[str, tuple[str, ...]] = {
    "user": USERS,
    "item": ITEMS,
    "rating": RATINGS,
    "timestamp": TIMES,
    "event": EVENTS,
}
"""The usual names by the keys of `Interactions`."""

PLURALS = {
    "user": "users",
    "item": "items",
    "rating": "ratings",
    "timestamp": "times",
    "event": "events",
}


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


def find_columns(
    names: list[str], asked: Columns, source: str, hint: str = "", keys: Sequence[str] = ()
) -> Found:
    """Finds the columns of a log that has a header.

    Args:
        names: the columns of the log.
        asked: what the recipe names.
        source: the source as it appears in messages.
        hint: what the message ends with where the usual names are not found.
        keys: those of the columns that the names of folders tell. A usual name among the others
            comes first: a day is less than a time.

    Raises:
        DataError: users or items are missing, a column that the recipe names, or one that its
            settings need: one line that says of each what to set. Or one column would be both.
    """
    found: dict[str, str] = {}
    missing: dict[str, str | None] = {}
    others: list[str] = []
    for key, name in asked.asked.items():
        candidates = _find_candidates(names, key, name, asked.of_run)
        candidates.sort(key=lambda candidate: candidate in keys)
        if candidates:
            found[key] = candidates[0]
        elif _may_not_lack(key, name, asked):
            missing[key] = name
        if key in ("user", "item") and name == key:
            others += [f"data.interactions.{key}={other}" for other in candidates[1:]]
    if "event" in found:
        found.pop("rating", None)
    if missing:
        message = _describe_missing(missing, names, source, asked)
        is_usual = any(_is_usual(key, missing.get(key, "")) for key in ("user", "item"))
        if is_usual and not asked.of_run:
            message += hint
        raise DataError(message)
    if found["user"] == found["item"]:
        raise DataError(
            f"{source}: users and items would both be read from {found['user']!r}; name another "
            "column by data.interactions.user or data.interactions.item"
        )
    return Found(found, _describe_found(found, others, names, asked))


def _is_usual(key: str, name: str | None) -> bool:
    """Says whether the recipe leaves the name of a column to be found."""
    return name is None or name == key


def _find_candidates(names: list[str], key: str, name: str | None, of_run: bool) -> list[str]:
    """Finds the columns that may be meant, the surest first.

    Data that a run reads later may have the names of its own, or usual ones.
    """
    if _is_usual(key, name):
        return find_usual(names, USUAL[key])
    named = find_named(names, str(name))
    if named is not None:
        return [named]
    if of_run:
        return find_usual(names, USUAL[key])
    return []


def _may_not_lack(key: str, name: str | None, asked: Columns) -> bool:
    """Says whether a log without this column is refused."""
    if key in ("user", "item") or key in asked.needed:
        return True
    return name is not None and name != key and not asked.of_run


def _describe_missing(
    missing: Mapping[str, str | None], names: list[str], source: str, asked: Columns
) -> str:
    """Words the message for columns that are missing, by their keys."""
    lacks = []
    keys = []
    for key, name in missing.items():
        called = ""
        if not _is_usual(key, name):
            called = f" {name!r}"
        reason = ""
        if key in asked.needed:
            reason = f", which {asked.needed[key]} needs,"
        lacks.append(f"no column{called} of {PLURALS[key]}{reason}")
        keys.append(f"data.interactions.{key}={_propose(key, name, names)}")
    columns = ", ".join(names) or "none"
    way_out = f"name what is there by {', '.join(keys)}"
    if asked.of_run:
        called = " and ".join(repr(name or key) for key, name in missing.items())
        way_out = f"the run reads other data by the names of its own: call them {called}"
    text = " and ".join(lacks).removesuffix(",")
    return one_line(f"{source} has {text}; {way_out} (its columns: {columns})")


def _propose(key: str, name: str | None, names: list[str]) -> str:
    """Proposes a column for a key: the nearest name, a likely one, or a number where there are no
    names.
    """
    if are_places(names):
        return "NUMBER"
    nearest = difflib.get_close_matches(name or key, names, n=1, cutoff=0.6)
    if key == "user":
        nearest += find_usual(names, LIKELY_USERS)
    return [*nearest, "COLUMN"][0]


def _describe_found(
    found: dict[str, str], others: list[str], names: list[str], asked: Columns
) -> tuple[str, ...]:
    """Words the notes on columns that have other names than their keys, on other candidates, and on
    kinds of events that nobody has weighed.
    """
    notes = []
    if any(name != key for key, name in found.items()):
        advice = " (data.interactions names others)"
        if asked.of_run:
            advice = ""
        notes.append(f"columns: {_list_columns(found)}{advice}")
    if asked.of_run:
        return tuple(notes)
    if others:
        notes.append(f"other columns may be meant: {', '.join(others)}")
    events = [name for name in find_usual(names, EVENTS) if name not in found.values()]
    if events and asked.events is None:
        notes.append(
            f"all kinds of events in {events[0]!r} count alike; data.interactions.events says "
            "which count, and how much, such as {view=1, purchase=5}"
        )
    return tuple(notes)


def _list_columns(found: dict[str, str]) -> str:
    """Lists what is read from which column."""
    return ", ".join(f"{PLURALS[key]} from {name!r}" for key, name in found.items())


# Logs without a header


def are_places(names: Sequence[str]) -> bool:
    """Says whether all columns are called by their places, as those of a text without a header."""
    return list(names) == [f"column_{place}" for place in range(1, len(names) + 1)]


def find_places(names: list[str], asked: Columns, third_is_time: bool, source: str) -> Found:
    """Finds the columns of a log without a header, by their places or by the numbers asked for.

    Args:
        names: "column_1", "column_2" and so on, and behind them those that the names of folders
            tell.
        asked: what the recipe names.
        third_is_time: of three columns the last holds times, and no ratings.
        source: the source as it appears in messages.

    Raises:
        DataError: there are more columns than four and nothing says which are which, or a column
            that the recipe names, or that its settings need, is missing.
    """
    asked = _name_numbers(asked)
    placed = [name for name in names if re.fullmatch(PLACE, name)]
    if not asked.are_usual and not _lacks_names_of_run(names, asked):
        return find_columns(names, asked, source)
    if not 2 <= len(placed) <= len(SURE_PLACES):
        raise DataError(_describe_places(source, len(placed), asked.of_run))
    places = _give_places(names, placed, asked, third_is_time)
    wanted = asked.asked
    missing: dict[str, str | None] = {}
    for key, name in wanted.items():
        if key not in places and (key in asked.needed or not (name is None or asked.of_run)):
            missing[key] = name
    if missing:
        raise DataError(_describe_missing(missing, names, source, asked))
    advice = " (data.interactions names others)"
    if asked.of_run:
        advice = ""
    note = f"columns by their places: {_list_columns(places)}{advice}"
    return Found({key: places[key] for key in wanted if key in places}, (note,))


def _give_places(
    names: list[str], placed: list[str], asked: Columns, third_is_time: bool
) -> dict[str, str]:
    """Gives each column its place, but for those that the recipe names.

    Args:
        names: all columns.
        placed: those of them that are called by their places.
        asked: what the recipe names.
        third_is_time: of three columns the last holds times, and no ratings.
    """
    named: dict[str, str] = {}
    for key, name in asked.asked.items():
        if key not in ("user", "item") and name in names:
            named[key] = str(name)
    places = dict(zip(SURE_PLACES, placed, strict=False))
    if third_is_time and len(placed) == 3:
        places["timestamp"] = places.pop("rating")
    if "rating" not in asked.asked or "event" in named:
        places.pop("rating", None)
    free = {key: name for key, name in places.items() if name not in named.values()}
    told_by_folders = find_usual([name for name in names if name not in placed], TIMES)
    if told_by_folders:
        free.setdefault("timestamp", told_by_folders[0])
    return free | named


PLACE = r"column_\d+"
"""A column of a text without a header is called so."""


def _lacks_names_of_run(names: list[str], asked: Columns) -> bool:
    """Says whether data that a run reads later have no columns of the names that its own have."""
    is_there = [find_named(names, name) is not None for name in (asked.user, asked.item)]
    return asked.of_run and not all(is_there)


def _describe_places(source: str, width: int, of_run: bool) -> str:
    """Words the message for a log without a header whose places do not tell what they are."""
    message = (
        f"{source} has no header and {width} columns; allowed without more words: 2 to "
        f"{len(SURE_PLACES)} ({', '.join(SURE_PLACES)})"
    )
    if of_run:
        return f"{message}; give it a first line with the names of its columns"
    return (
        f"{message}; name them by their numbers, such as data.interactions.user=1 and "
        "data.interactions.item=2, or all of them by data.columns; if its first line is a header, "
        "set data.header=true"
    )


def _name_numbers(asked: Columns) -> Columns:
    """Names the columns that are asked for by their numbers: `column_2` for `2`."""
    for key in (*SURE_PLACES, "event"):
        name = getattr(asked, key)
        if name is not None and name.isdecimal():
            numbered: dict[str, Any] = {key: f"column_{name}"}
            asked = replace(asked, **numbered)
    return asked
