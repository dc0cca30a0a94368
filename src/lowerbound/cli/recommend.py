"""The command that asks a recommender."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError, DataError, one_line
from .app import AllowCode, Features, Json, RunFolder, app, show
from .list_options import CommandWithLists
from .sharded import (
    Engine,
    Shards,
    Workers,
    is_sharded,
    options_of_engine,
    refuse_file,
    show_sharded,
)
from .text import recommendation_table, similar_users_table
from .use import read_conditions

LIST_ENDINGS = (".txt", ".csv", ".tsv", ".lst", ".list")
"""A value of `--allow`, `--deny` or `--boost` with such an ending is a file of items."""

MOST_REASONS = 3
"""So many items of a history are named for a recommended one."""


@app.command(cls=CommandWithLists)
def recommend(
    run: RunFolder,
    history: Annotated[
        list[str] | None, typer.Option(metavar="ITEM...", help="What one user had, by id or title.")
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(metavar="ID...", help="Users of the run's own data, by all that they had."),
    ] = None,
    users: Annotated[
        str | None, typer.Option(metavar="FILE", help="Interactions of many users; needs --out.")
    ] = None,
    similar: Annotated[
        str | None, typer.Option(metavar="ITEM", help="Find the items most like this one.")
    ] = None,
    similar_users: Annotated[
        bool,
        typer.Option(
            "--similar-users", help="Find the users most like that of --user or --history."
        ),
    ] = False,
    k: Annotated[int, typer.Option("-k", help="How many, for each user.")] = 10,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="FILE|ITEM...", help="Nothing but these items.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="FILE|ITEM...", help="None of these items.")
    ] = None,
    allow_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Many users: rows of user and item, all for each."),
    ] = None,
    deny_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Many users: rows of user and item, none for each."),
    ] = None,
    new_items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Items the run lacks, ranked by what a table like that of its items says of them.",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION", help='Nothing but items of which it holds, such as "year > 1990".'
        ),
    ] = None,
    boost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION|FILE|ITEM NATS...", help="Add so many nats to the scores of these."
        ),
    ] = None,
    less_popular: Annotated[
        float,
        typer.Option(
            metavar="STRENGTH", help="Take so many times the log of its users off each score."
        ),
    ] = 0.0,
    at_most: Annotated[
        int | None, typer.Option(metavar="N", help="So many items of each group of --per.")
    ] = None,
    per: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that groups the items.")
    ] = None,
    diversity: Annotated[
        float, typer.Option(help="From 0 to 1: how much it counts to be unlike the items before.")
    ] = 0.0,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also what the history holds.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which items of the history speak for each.")
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Say how probable it is that the user has each next."),
    ] = False,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A feature of the user, of a run fitted with some; may be repeated.",
        ),
    ] = None,
    features: Features = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Where users are looked up [default: the run's data]."),
    ] = None,
    half_life: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS", help="Of --user or --users with times: how soon what they had fades."
        ),
    ] = None,
    unknown: Annotated[
        str,
        typer.Option(metavar="leave-out|error", help="What to do with items the run lacks."),
    ] = "leave-out",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Of --users or --user: .csv or .parquet; in shards a folder.",
        ),
    ] = None,
    engine: Engine = None,
    shards: Shards = None,
    workers: Workers = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Recommend items for a history or a user, or for many users into a file; or find the items or
    the users most like one.
    """
    if given and history is None and user is None and users is None:
        history = []  # a user of whom the features alone are known
    kinds = {"--history": history, "--user": user, "--users": users, "--similar": similar}
    in_shards = is_sharded(engine, shards, workers)
    refuse_ambiguous_request(kinds, out, in_shards)
    of_files = {
        "--allow-file": allow_file,
        "--deny-file": deny_file,
        "--features": features,
        "--new-items": new_items,
        "--half-life": half_life,
    }
    of_lists = {
        "--explain": explain,
        "--probabilities": probabilities,
        "--similar-users": similar_users,
    }
    refuse_misplaced(of_files, of_lists | {"--data": data}, kinds, out)
    refuse_beyond_shards(in_shards, of_files)
    of_order = {
        "--boost": boost,
        "--less-popular": less_popular,
        "--at-most": at_most,
        "--per": per,
        "--diversity": diversity,
        "--include-seen": include_seen,
    }
    if similar is not None:
        refuse_order(of_order, "--similar takes --allow, --deny and --where")
    if similar_users:
        limits_of_items = {"--allow": allow, "--deny": deny, "--where": where}
        refuse_order(of_order | limits_of_items, "--similar-users takes no wishes on items")
    conditions = None
    if given:
        conditions = read_conditions(given)
    limits: dict[str, Any] = {
        "allow": read_items(allow),
        "deny": read_items(deny) or (),
        "where": where,
    }
    wishes = limits | {
        "exclude_seen": not include_seen,
        "boost": read_boosts(boost or []),
        "less_popular": less_popular,
        "at_most": at_most,
        "per": per,
        "diversity": diversity,
    }
    if in_shards and users is not None and out is not None:
        from ..doors.sharding import recommend_in_shards

        made = recommend_in_shards(
            run,
            users,
            out,
            k,
            **options_of_engine(engine, shards, workers),
            features=features,
            unknown=unknown,
            allow_code=allow_code,
            given=conditions,
            **wishes,
        )
        show_sharded(made, "recommendations", json)
        return
    from ..recommend import Recommender
    from ..run import load

    fitted = load(run, allow_code=allow_code).with_users(features)
    recommender = Recommender(fitted, unknown)
    if new_items is not None:
        recommender = recommender.with_items(read_new_items(new_items, fitted))
    question = Question(
        recommender, history, user, data, k, conditions, wishes, explain, half_life, probabilities
    )
    if out is not None:
        for option, path in (("allow", allow_file), ("deny", deny_file)):
            wishes |= read_own_limits(option, path, limits)
        result, lines = question.write(users, out)
    elif similar is not None:
        found = recommender.similar(similar, k, **limits)
        result, lines = question.tell_list(found)
    elif similar_users:
        result, lines = question.tell_similar_users()
    else:
        result, lines = question.tell_lists()
    if recommender.new is not None:
        result["new_items"] = len(recommender.new)
        lines.append(recommender.new.describe())
    show(result, lines, json)


def read_new_items(path: Path, run: Any) -> Any:
    """Reads a table of items as that of a run is read."""
    from ..data import Interactions
    from ..data.interactions.titles import read_titles
    from ..system.files import expand_home

    how = run.recipe.data.interactions or Interactions()
    return read_titles(expand_home(path), how.item, key="--new-items")


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a recommender.

    Attributes:
        recommender: is asked.
        history: items of one user, or None.
        user: ids of users, or None.
        data: where users are looked up; None: in the run's own data.
        k: how many.
        given: features of the user, or None.
        wishes: see `recommend.Wishes`.
        explain: whether reasons are told.
        half_life: in days, how soon what users had fades; None: not at all.
        probabilities: whether probabilities are told.
    """

    recommender: Any
    history: list[str] | None
    user: list[str] | None
    data: str | None
    k: int
    given: dict[str, str] | None
    wishes: dict[str, Any]
    explain: bool
    half_life: float | None = None
    probabilities: bool = False

    def histories(self) -> list[tuple[str | None, Any]]:
        """Lists the users who are asked for: their ids, None of a history, and their histories."""
        if self.user is None:
            return [(None, self.history)]
        known = self.recommender.histories_of(self.user, self.data, half_life=self.half_life)
        return [(user, known.take([row])) for row, user in enumerate(self.user)]

    def tell_lists(self) -> tuple[dict[str, Any], list[str]]:
        """Recommends, and says what: as JSON, and as lines of text."""
        results = []
        lines: list[str] = []
        histories = self.histories()
        for user, history in histories:
            found = self.recommender.recommend(history, self.k, given=self.given, **self.wishes)
            result, told = self.tell_list(found, history)
            if len(histories) > 1:
                lines += [f"user {one_line(user, 80)}", *told, ""]
            else:
                lines += told
            if user is not None:
                result = {"user": user} | result
            results.append(result)
        if len(results) == 1:
            return results[0], lines
        return {"users": results}, lines[:-1]

    def tell_list(self, found: Any, history: Any = None) -> tuple[dict[str, Any], list[str]]:
        """Says what one list is: as JSON, and as lines of text.

        Args:
            found: the list.
            history: what it was recommended for; None where it was not.
        """
        items = [recommendation._asdict() for recommendation in found]
        result = {"items": items, "unknown": list(found.unknown), "popular": found.popular}
        reasons = None
        if self.explain:
            reasons = self._reasons(found, history)
            for item, because in zip(items, reasons, strict=True):
                item["because"] = [reason._asdict() for reason in because]
        if found.popular:
            reasons = None
        probabilities = None
        if self.probabilities and not found.popular:
            probabilities = self.recommender.probabilities(
                history, [each.item for each in found], given=self.given
            )
            for item, probability in zip(items, probabilities, strict=True):
                item["probability"] = probability
            result["calibration"] = self.recommender.calibration.facts
        lines = recommendation_table(found, reasons, probabilities)
        if len(items) < self.k:
            lines.append(f"{len(items)} of {self.k}: no more are left to recommend")
        lines += describe_unknown(found.unknown, self.recommender)
        if found.popular:
            lines.append("nothing is known of the user: these are the most popular items")
        if probabilities is not None:
            lines.append(self.recommender.calibration.sentence)
        if self.wishes["diversity"] and history is not None:
            result["diversity"] = self._trade(found, history)
            lines.append(describe_trade(result["diversity"]))
        return result, lines

    def _reasons(self, found: Any, history: Any) -> list[Any]:
        """Finds the reasons of a list; there are none where nothing is known of the user."""
        if found.popular:
            return [[] for _ in found]
        items = [each.item for each in found]
        reasons: list[Any] = self.recommender.explain(
            history, items, given=self.given, most=MOST_REASONS
        )
        return reasons

    def _trade(self, found: Any, history: Any) -> dict[str, Any]:
        """Compares a diverse list with the list that goes by scores alone."""
        from ..recommend.rerank import Spread

        by_score = self.recommender.recommend(
            history, self.k, given=self.given, **self.wishes | {"diversity": 0.0}
        )
        scores = [each.score for each in found]
        best_scores = [each.score for each in by_score]
        return {
            "diversity": self.wishes["diversity"],
            "candidates": Spread().candidates(self.k),
            "likeness": self.recommender.likeness(each.item for each in found),
            "likeness_by_score": self.recommender.likeness(each.item for each in by_score),
            "score": sum(scores) / len(scores),
            "score_by_score": sum(best_scores) / len(best_scores),
        }

    def tell_similar_users(self) -> tuple[dict[str, Any], list[str]]:
        """Finds the users that are most like one, and says who they are."""
        histories = self.histories()
        if len(histories) > 1:
            raise ConfigError(f"--similar-users takes one user, got {len(histories)}")
        ((_, history),) = histories
        found = self.recommender.similar_users(history, self.k, given=self.given, data=self.data)
        users = []
        for each in found:
            shared = [item._asdict() for item in each.shared]
            users.append({"user": each.user, "similarity": each.similarity, "shared": shared})
        lines = similar_users_table(found)
        lines += describe_unknown(found.unknown, self.recommender)
        result = {"similar_users": users, "unknown": list(found.unknown)}
        return result | {"searched": found.searched}, lines

    def write(self, users: str | None, out: Path) -> tuple[dict[str, Any], list[str]]:
        """Writes the lists of many users, and says what was written.

        Args:
            users: the source of their interactions; None: those of `user`.
            out: the file.
        """
        if users is None:
            history = self.recommender.histories_of(self.user, self.data, half_life=self.half_life)
            written = self._write(history, out)
            return written.describe() | {"unknown": list(written.unknown)}, self._lines_of(written)
        data = self.recommender.other_data(users)
        unknown_items = data.facts.get("unknown_items", 0)
        told = f"{unknown_items:,} items of {users} are not known to the run"
        if unknown_items and self.recommender.refuses_unknown:
            raise DataError(f"{told}; --unknown leave-out leaves them out")
        history = data.whole
        if self.half_life is not None:
            history = self.recommender.fade(history, users, self.half_life)
        written = self._write(history, out)
        more = []
        if unknown_items:
            more.append(f"{told} and were left out")
        missing = data.facts["missing_ids"]
        if missing:
            more.append(f"{missing:,} rows of {users} without a user or an item were left out")
        result = written.describe() | {"unknown_items": unknown_items}
        return result | {"unknown": list(written.unknown)}, self._lines_of(written, more)

    def _write(self, history: Any, out: Path) -> Any:
        """Writes the lists of all users of a history, and counts them."""
        from ..recommend import recommend_in_blocks
        from .outputs import write_recommendations

        blocks = recommend_in_blocks(
            self.recommender, history, self.k, given=self.given, **self.wishes
        )
        return write_recommendations(blocks, out, len(history))

    def _lines_of(self, written: Any, more: list[str] | None = None) -> list[str]:
        """Words what was written, and what was left out of it."""
        return [
            *written.lines(),
            *(more or []),
            *describe_unknown(written.unknown, self.recommender),
        ]


def describe_trade(trade: dict[str, Any]) -> str:
    """Says in a line what diversity costs and what it brings."""
    line = f"diversity {trade['diversity']:g}, among the {trade['candidates']} best"
    if trade["likeness"] is None:
        return line
    return (
        f"{line}: the mean cosine between two items is {trade['likeness']:.2f} "
        f"({trade['likeness_by_score']:.2f} by score alone), the mean score {trade['score']:.2f} "
        f"({trade['score_by_score']:.2f})"
    )


def describe_unknown(unknown: tuple[Any, ...], recommender: Any) -> list[str]:
    """Describes the items that a request names and the run does not know, in a line or none."""
    if not unknown:
        return []
    first = recommender.catalogue.describe_unknown(unknown[0])
    if len(unknown) == 1:
        return [f"1 item was left out: {first}"]
    return [f"{len(unknown):,} items were left out: {first}; and so on"]


def refuse_ambiguous_request(
    requests: dict[str, Any], out: Path | None, in_shards: bool = False
) -> None:
    """Refuses a command line that asks for no list or for several kinds of list.

    Only the lists of many users go into a file, whose name must then be given.

    Args:
        requests: the values of the options that each ask for one kind of list, by their names.
        out: the file that is to be written.
        in_shards: it is to be a folder.

    Raises:
        ConfigError: says which options are needed.
    """
    from .outputs import TABLE_ENDINGS, suffix

    given = [option for option, value in requests.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ConfigError(f"recommend needs one of {', '.join(requests)}; got {got}")
    if given == ["--users"] and out is None:
        raise ConfigError("--users needs --out FILE")
    if given not in (["--users"], ["--user"]) and out is not None:
        raise ConfigError(f"--out goes with --users and --user; what {given[0]} finds is printed")
    if in_shards and given != ["--users"]:
        raise ConfigError(f"--engine and --shards go with --users; {given[0]} is one request")
    if out is not None and in_shards:
        refuse_file(out)
    elif out is not None:
        suffix(out, TABLE_ENDINGS)


def refuse_beyond_shards(in_shards: bool, of_files: dict[str, Any]) -> None:
    """Refuses what is not done in shards: limits of each user, and histories that fade.

    Raises:
        ConfigError: says which option it is.
    """
    for option in ("--allow-file", "--deny-file", "--half-life", "--new-items"):
        if in_shards and of_files[option] is not None:
            raise ConfigError(f"{option} does not go with --engine and --shards; leave these out")


def refuse_misplaced(
    of_files: dict[str, Any], of_lists: dict[str, Any], kinds: dict[str, Any], out: Path | None
) -> None:
    """Refuses options that say nothing of the list that is asked for.

    Args:
        of_files: options that go with lists that are written, by their names.
        of_lists: options that go with lists that are printed of users.
        kinds: the options that each ask for one kind of list.
        out: the file that is to be written.

    Raises:
        ConfigError: says what the first such option goes with.
    """
    if of_files["--features"] is not None and kinds["--users"] is None and kinds["--user"] is None:
        raise ConfigError(
            "--features goes with --users and --user; those of one history are --given NAME=VALUE"
        )
    for option in ("--allow-file", "--deny-file"):
        if of_files[option] is not None and out is None:
            raise ConfigError(
                f"{option} goes with --out, for the lists of many users; of one user, "
                f"{option.removesuffix('-file')} takes items"
            )
    if of_files["--half-life"] is not None and kinds["--users"] is None and kinds["--user"] is None:
        raise ConfigError("--half-life goes with --user and --users, whose interactions have times")
    for option in ("--explain", "--probabilities", "--similar-users"):
        if of_lists[option] and (out is not None or kinds["--similar"] is not None):
            raise ConfigError(f"{option} goes with --history, or with --user and no --out")
    is_looked_up = kinds["--user"] is not None or of_lists["--similar-users"]
    if of_lists["--data"] is not None and not is_looked_up:
        raise ConfigError("--data goes with --user and --similar-users, which look users up in it")


def refuse_order(options: dict[str, Any], allowed: str) -> None:
    """Refuses options that say nothing of what is asked for.

    Args:
        options: their values by their names.
        allowed: says what may be asked for.

    Raises:
        ConfigError: one of them is given.
    """
    for option, value in options.items():
        if value:
            raise ConfigError(f"{option} goes with recommendations; {allowed}")


def read_boosts(values: list[str]) -> list[tuple[Any, float]]:
    """Reads the pairs of `--boost`: a file of items, a condition, or else an item by id or title,
    and a number.

    Raises:
        ConfigError: they are no such pairs.
    """
    example = '--boost takes pairs, such as "year > 1990" 0.5'
    if len(values) % 2:
        raise ConfigError(f"{example}; got {one_line(' '.join(values), 120)}")
    boosts: list[tuple[Any, float]] = []
    for what, text in zip(values[::2], values[1::2], strict=True):
        try:
            nats = float(text)
        except ValueError:
            raise ConfigError(
                f"{example}; got {one_line(text, 80)!r} for the number of nats"
            ) from None
        if Path(what).suffix.lower() in LIST_ENDINGS:
            boosts.append((read_items([what]), nats))
        else:
            boosts.append((what, nats))
    return boosts


def read_own_limits(option: str, path: Path | None, limits: dict[str, Any]) -> dict[str, Any]:
    """Reads a file of users and items as the wish `option`; nothing where there is none.

    Raises:
        ConfigError: the option is there for all users too.
        DataError: the file cannot be read.
    """
    from ..data.interactions.beside import read_pairs

    if path is None:
        return {}
    if limits[option]:
        raise ConfigError(f"--{option} and --{option}-file exclude each other; take one")
    return {option: read_pairs(path, f"--{option}-file")}


def read_items(values: list[str] | None) -> list[str] | None:
    """Gives the items that an option names; a value that is a text file stands for its lines.

    Raises:
        DataError: a file does not hold text, or a value is called like a file that is not there.
    """
    from ..system.files import exists

    if values is None:
        return None
    items = []
    for value in values:
        path = Path(value)
        if exists(path) and path.is_file():
            items += read_lines(path)
        elif path.suffix.lower() in LIST_ENDINGS:
            raise DataError(f"{value}: there is no such file of items")
        else:
            items.append(value)
    return items


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of items: {error}") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]
