"""Renders the tables of docs/performance.md from benchmarks/results/*.json, and draws its picture.

    python benchmarks/page.py [--page docs/performance.md] [--results benchmarks/results]

Each table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; what is outside of them is
left as it is, and a second run changes nothing. A result that is not there yet is a line with the
command that makes it. Figures are medians, with the least and the greatest of all rounds in
brackets.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

PICTURE = "performance-growth.png"

MARKERS = re.compile(r"<!-- begin (?P<name>[\w-]+) -->\n.*?<!-- end (?P=name) -->", re.DOTALL)

SYSTEMS = {
    "hierarchical-mnist": "hierarchical, 784-100-20 and 20-100-20",
    "aevb-mnist": "MLP, 784-500-2",
    "conv-mnist": "convolutional, 32 and 64 channels, 2 latents",
}

CONTESTANTS = {
    "published": "published loop, `DataLoader`",
    "memory": "published loop, data in memory",
    "pythae": "Pythae's trainer",
    "ours": "ours, as packaged",
    "fast": "ours, fast settings",
}

AXES = {
    "image_size": "image size (convolutional, batch 100)",
    "levels": "latent levels (batch 64)",
    "samples": "importance samples (batch 20)",
    "items": "items (batch of 500 users)",
    "users": "users ranked (10,000 items)",
    "processes": "processes (convolutional, batch 100)",
}

Result = Mapping[str, Any]


class PageError(Exception):
    """The page has not the markers that it should have."""


def number(value: float) -> str:
    """About three digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}" if abs(value) >= 0.1 else f"{value:.2g}"


def nats(value: float) -> str:
    """As bounds are told."""
    return f"{value:.1f}"


def cell(spread: Mapping[str, float] | None, said: Callable[[float], str] = number) -> str:
    """A median with its range."""
    if spread is None:
        return "-"
    median, least, greatest = (said(spread[name]) for name in ("median", "least", "greatest"))
    return median if least == greatest == median else f"{median} ({least} to {greatest})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def machine(result: Result) -> str:
    """Where and with what it was measured."""
    facts = result["facts"]
    names = ", ".join(f"{name} {facts[name]}" for name in ("lowerbound", "torch", "python"))
    return f"{facts['hardware']}; {facts['system']}; {names}"


def rounds(result: Result) -> str:
    """How often."""
    options = result["options"]
    said = f"{options['rounds']} round" + "s" * (options["rounds"] != 1)
    return said + (f" of {options['steps']} steps" if "steps" in options else "")


def missing(command: str) -> str:
    """What stands in the place of a table."""
    return f"Not measured yet: `python benchmarks/{command}`."


def found(results: Path, name: str) -> Result | None:
    """A result, or None if it is not there."""
    path = results / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def training(results: Path, device: str = "") -> str:
    """The throughput of each recipe."""
    parts = [
        one_training(result)
        for name in SYSTEMS
        if (result := found(results, f"training-{name}{device}"))
    ]
    return "\n\n".join(parts) or missing("training.py" + (" --device cuda" if device else ""))


def one_training(result: Result) -> str:
    """The contestants of one recipe, and the floor below them."""
    measured, errors = result["measured"], result["errors"]
    known = [which for which in CONTESTANTS if which in measured or which in errors]
    rows = [
        contestant(which, measured[which])
        if which in measured
        else [CONTESTANTS[which], errors[which]]
        for which in known
    ]
    width = 7
    head = [
        f"{SYSTEMS[result['recipe']]}; batch {result['batch_size']}",
        "examples/s",
        "ms a step",
        "to published",
        "to Pythae",
    ]
    head += ["of the fp32 floor", "of the bf16 floor"]
    filled = [row + ["-"] * (width - len(row)) for row in rows]
    return f"{table(head, filled)}\n\n{floor(result)} {rounds(result)}. {machine(result)}."


def contestant(which: str, one: Result) -> list[str]:
    """A row: its ratios are those of pairs."""
    ratios = [cell(one["ratio_to"].get(other)) for other in ("published", "pythae")]
    shares = [
        f"{100 * one['share_of_floor'][f'product {kind}']['median']:.0f} %"
        for kind in ("fp32", "bf16")
    ]
    return [
        CONTESTANTS[which],
        cell(one["examples_per_second"]),
        cell(one["milliseconds"]),
        *ratios,
        *shares,
    ]


def floor(result: Result) -> str:
    """What a step costs at the least, and the rates that say so; and what the fast settings
    were.
    """
    least, rates = result["floor_milliseconds"], result["rates"]
    kinds = (("fp32", "float32"), ("bf16", "bfloat16"))
    products = (
        f"{number(least[f'product {kind}']['median'])} ms in {name} at "
        f"{number(rates[f'product {kind}']['median'] / 1e9)} GFLOP/s"
        for kind, name in kinds
    )
    copy = f"{number(least['copy']['median'])} ms at {number(rates['copy']['median'] / 1e9)} GB/s"
    fast = result["processes"].get("fast", {}).get("settings", {})
    chosen = ", ".join(
        f"{key.partition('.')[2]} {json.dumps(value)}"
        for key, value in fast.items()
        if "accelerator" not in key
    )
    return (
        f"Floor of a step: {number(result['operations'] / 1e6)} million operations, "
        f"{' or '.join(products)}; "
        f"{number(result['bytes'] / 1e6)} MB of weights and averages, {copy}. Fast settings: "
        f"{chosen or 'none'}."
    )


def gpu(results: Path) -> str:
    """What a GPU makes of the models: `ladder-mnist-gpu` by its step, and as it was trained."""
    result = found(results, "gpu")
    if result is None:
        return missing("gpu.py")
    parts = []
    if "steps" in result:
        parts.append(steps_of_ladder(result["steps"]))
    if "train" in result and "test_log_likelihood" in result["train"]:
        parts.append(trained_ladder(result["train"]))
    if "agreement" in result:
        disagreeing = []
        for name, one in result["agreement"].items():
            if not one.get("agrees"):
                disagreeing.append(name)
        said = f"{len(result['agreement'])} recipes compared with the CPU in float32"
        told = ", ".join(disagreeing) or "none"
        parts.append(f"{said}; outside of the tolerance, or not computed: {told}.")
    card = result["card"]
    driver = f"driver {card.get('driver', '-')}, CUDA {card.get('cuda', '-')}"
    parts.append(f"{card['name']}, {driver}; {machine(result)}.")
    return "\n\n".join(parts)


def steps_of_ladder(steps: Result) -> str:
    """The variants of a step, and what a step needs at the least."""
    rows = []
    for name, one in steps["measured"].items():
        if "error" in one:
            rows.append([name, one["error"], "-", "-", "-"])
            continue
        share = f"{100 * one['share_of_floor']:.0f} %"
        memory = "-"
        if one["peak_gigabytes"] is not None:
            memory = number(one["peak_gigabytes"])
        speed = cell(one["examples_per_second"])
        rows.append([name, cell(one["milliseconds"]), speed, share, memory])
    head = [f"{steps['recipe']}, batch {steps['batch_size']}", "ms a step", "examples/s"]
    head += ["of the bf16 floor", "peak GB"]
    rate = steps["rates"]["product bf16"] / 1e12
    floor = f"{steps['operations'] / 1e9:,.0f} billion operations a step"
    return f"{table(head, rows)}\n\n{floor}; large products at {number(rate)} TFLOP/s in bfloat16."


def trained_ladder(train: Result) -> str:
    """What the ladder reached."""
    measured = train["test_log_likelihood"]
    value = f"{-measured['value']:.2f} ± {measured['standard_error']:.2f} nats"
    how = f"{measured['images']:,} test images of {train['data']}, {measured['samples']:,} samples"
    steps = f"{train['steps']:,} steps in {number(train['seconds'])} s"
    return f"Trained: -log p(x) {value} ({how} of the posterior) after {steps}."


def quality(results: Path) -> str:
    """Seconds to the published quality of both systems."""
    rows, last = [], None
    for name in SYSTEMS:
        published, fast = (
            found(results, f"quality-{name}-{system}") for system in ("published", "fast")
        )
        if published or fast:
            last = published or fast
            rows.append(
                [
                    name,
                    nats(last["target"]),
                    reached(published),
                    reached(fast),
                    gain(published, fast),
                ]
            )
    if last is None:
        return missing("quality.py")
    head = ["recipe", "target, nats", "published loop", "ours, `-fast`", "ratio of medians"]
    return f"{table(head, rows)}\n\n{machine(last)}."


def reached(result: Result | None) -> str:
    """Seconds, and how well that went."""
    if result is None:
        return "not measured yet"
    seeds = f"{result['reached']} of {len(result['each'])} seeds reached it"
    return f"{cell(result['seconds'])} s, loss {cell(result['loss'], nats)}; {seeds}"


def gain(published: Result | None, fast: Result | None) -> str:
    """How many times faster; only where both were measured on the same machine with the same
    threads.
    """
    if published is None or fast is None:
        return "-"
    same = all(published["facts"][name] == fast["facts"][name] for name in ("hardware", "threads"))
    return (
        number(published["seconds"]["median"] / fast["seconds"]["median"])
        if same
        else "measured on different machines"
    )


def likelihood(results: Path) -> str:
    """The time of a pair of image and sample, its floors, and the whole."""
    parts = [
        one_likelihood(result)
        for device in ("", "-cuda")
        if (result := found(results, f"likelihood{device}"))
    ]
    return "\n\n".join(parts) or missing("likelihood.py")


def one_likelihood(result: Result) -> str:
    """On one device."""
    names = {
        "ours": "ours",
        "floor": "floor: products, tanh, normal numbers, softplus",
        "floor with exponentials": "floor with one exponential in place of each softplus",
        "products": "products alone",
    }
    each, ratios = result["nanoseconds_of_a_pair"], result["ratio_to"]
    rows = [[label, cell(each[name]), cell(ratios.get(name))] for name, label in names.items()]
    whole = cell(result["seconds_for_10000_images_5000_samples"])
    process = result["process"]
    memory = process.get("error") or f"{number(process['megabytes'])} MB"
    options = result["options"]
    return (
        f"{table(['', 'ns for a pair of image and sample', 'ours over it'], rows)}\n\n"
        f"10,000 images with 5,000 samples at this rate: {whole} s. Peak memory of a process that "
        f"does this alone: {memory}. "
        f"{options['images']:,} images with {options['samples']:,} samples, {rounds(result)}. "
        f"{machine(result)}."
    )


def startup(results: Path) -> str:
    """Small commands, and the memory of a fit."""
    result = found(results, "startup")
    if result is None:
        return missing("startup.py")
    measured, fit = result["measured"], result["fit"]
    rows = [
        [f"`lowerbound {name}`", cell(one["seconds"]), cell(one["megabytes"])]
        for name, one in measured.items()
    ]
    rows += [[f"`lowerbound {name}`", error, "-"] for name, error in result["errors"].items()]
    for name in ("with its report", "without a report"):
        one, label = fit[name], f"`lowerbound fit {fit['recipe']}`, epochs: {fit['epochs']}, {name}"
        rows.append(
            [label, one["error"], "-"]
            if "error" in one
            else [label, number(one["seconds"]), number(one["megabytes"])]
        )
    head = ["command", "seconds", "peak megabytes"]
    return f"{table(head, rows)}\n\n{rounds(result)}, the fit once. {machine(result)}."


def neighbours(results: Path) -> str:
    """A fit of each kind on a machine that is not alone."""
    result = found(results, "neighbours")
    if result is None:
        return missing("neighbours.py")
    rows = []
    for kind, counts in result["measured"].items():
        for spins, situations in counts.items():
            for name, one in situations.items():
                label = f"{kind}, {name}"
                if len(counts) > 1:
                    label += f", {int(spins):,} spins"
                free = f"{one['free_cores']:.3g}"
                rows.append([label, free, cell(one["seconds"]), cell(one["per_free_core"])])
    rows += [[name, "-", error, "-"] for name, error in result["errors"].items()]
    head = ["fit", "free cores", "seconds", "times the quiet time per free core"]
    return f"{table(head, rows)}\n\n{rounds(result)}. {machine(result)}."


def growth(results: Path) -> str:
    """A table for each axis, and the picture."""
    result = found(results, "growth")
    if result is None:
        return missing("growth.py")
    parts = [f"![How the cost grows]({PICTURE})"]
    for name, one in result["axes"].items():
        rows = [
            [f"{row['value']:,}", cell(row["milliseconds"]), cell(row["floor_milliseconds"])]
            for row in one["rows"]
        ]
        rows += [[value, error, "-"] for value, error in one["errors"].items()]
        parts.append(table([AXES[name], "ms", "floor, ms"], rows))
    return "\n\n".join([*parts, f"{rounds(result)}. {machine(result)}."])


def sharding(results: Path) -> str:
    """What a process holds, by strategy."""
    result = found(results, "sharding")
    if result is None:
        return missing("sharding.py")
    columns = ("first", "others", "milliseconds")
    rows = [
        [row["strategy"], *(cell(row[name]) if row[name]["median"] else "-" for name in columns)]
        for row in result["rows"]
    ]
    head = [
        "`training.strategy`",
        "first process, times the weights",
        "each other",
        "ms for a step",
    ]
    size = number(result["rows"][0]["megabytes"]["median"])
    what = f"Weights of {size} MB, {result['options']['processes']} processes"
    return f"{table(head, rows)}\n\n{what}, {rounds(result)}. {machine(result)}."


def recommend(results: Path) -> str:
    """Our recommender against a dense one and the peers."""
    parts, last = [], None
    rows = []
    for what, label in (("step", "training step"), ("ranking", "ranking of all users")):
        if result := found(results, f"recommend-{what}"):
            last = result
            rows.append(
                [label, *(cell(result[key]) for key in ("dense_seconds", "ours_seconds", "ratio"))]
            )
    if rows:
        parts.append(table(["Gowalla's size", "dense PyTorch, s", "ours, s", "ratio"], rows))
    if result := found(results, "recommend-peers"):
        last = result
        peers = [[name, *seconds(one)] for name, one in result["measured"].items()]
        parts.append(table(["MovieLens-1M's size", "an epoch, s", "ranking all users, s"], peers))
    if result := found(results, "recommend-memory"):
        one = result["process"]
        memory = one.get("error") or f"{number(one['megabytes'])} MB"
        parts.append(
            "Peak memory of `lowerbound fit multvae-gowalla`, one epoch, with its report: "
            f"{memory}."
        )
    return "\n\n".join([*parts, f"{machine(last)}."]) if last else missing("recommend.py step")


def seconds(one: Result) -> list[str]:
    """Of a recommender, or its error line."""
    return [one["error"], "-"] if "error" in one else [number(one["epoch"]), number(one["ranking"])]


def serving(results: Path) -> str:
    """One user at once, and many."""
    result = found(results, "serving")
    if result is None:
        return missing("serving.py")
    one = result["one_user_ms"]
    rows = [
        [
            "one user, median (95th percentile)",
            f"{number(one['median'])} ({number(one['p95'])}) ms",
        ],
        [f"{result['users']:,} users", f"{result['users_per_second']:,.0f} users/s"],
    ]
    head = f"top {result['k']} of {result['items']:,} items"
    return f"{table([head, ''], rows)}\n\n{machine(result)}."


TABLES: dict[str, Callable[[Path], str]] = {
    "training": training,
    "training-cuda": lambda results: training(results, "-cuda"),
    "gpu": gpu,
    "quality": quality,
    "likelihood": likelihood,
    "startup": startup,
    "neighbours": neighbours,
    "growth": growth,
    "sharding": sharding,
    "recommend": recommend,
    "serving": serving,
}


def rendered(page: str, results: Path) -> str:
    """The page with its tables.

    Raises:
        PageError: a table has no place, or more than one, or a place has no table.
    """
    names = re.findall(r"<!-- (?:begin|end) ([\w-]+) -->", page)
    for name in {*names, *TABLES}:
        if (
            name not in TABLES
            or len(MARKERS.findall(page)) != len(TABLES)
            or names.count(name) != 2
        ):
            raise PageError(
                f"the page needs `<!-- begin {name} -->` and `<!-- end {name} -->` once; tables: "
                f"{', '.join(TABLES)}"
            )
    return MARKERS.sub(lambda found: block(found["name"], results), page)


def block(name: str, results: Path) -> str:
    """A table with its markers."""
    return f"<!-- begin {name} -->\n{TABLES[name](results)}\n<!-- end {name} -->"


def draw(result: Result, path: Path) -> None:
    """The growth of the cost on every axis, both scales logarithmic; the floor dashed."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, places = pyplot.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    for place in places.flat[len(result["axes"]) :]:
        place.set_axis_off()
    for place, (name, one) in zip(places.flat, result["axes"].items(), strict=False):
        panel(place, name, one["rows"])
    figure.savefig(path, dpi=90, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)


def panel(place: Any, name: str, rows: Sequence[Result]) -> None:
    """One axis."""
    from matplotlib.ticker import LogLocator

    values, each = [row["value"] for row in rows], [row["milliseconds"] for row in rows]
    medians = [one["median"] for one in each]
    around = [
        [one["median"] - one["least"] for one in each],
        [one["greatest"] - one["median"] for one in each],
    ]
    place.errorbar(values, medians, around, marker="o", capsize=3, label="measured")
    floors = [
        (row["value"], row["floor_milliseconds"]["median"])
        for row in rows
        if row["floor_milliseconds"]
    ]
    if floors:
        place.plot(*zip(*floors, strict=True), linestyle="--", color="grey", label="floor")
    place.set(
        xscale="log",
        yscale="log",
        xlabel=AXES[name],
        ylabel="ms",
        xticks=values,
        xticklabels=[f"{v:,}" for v in values],
    )
    place.minorticks_off()
    place.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    place.yaxis.set_major_formatter("{x:,g}")
    place.legend(frameon=False)


def main() -> int:
    """The exit code is 2 if the page has not its markers."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    words.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    given = words.parse_args()
    try:
        text = rendered(given.page.read_text(encoding="utf-8"), given.results)
    except PageError as error:
        print(f"{given.page}: {error}", file=sys.stderr)
        return 2
    from lowerbound.system.files import write_text

    write_text(given.page, text)
    if result := found(given.results, "growth"):
        draw(result, given.page.with_name(PICTURE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
