"""Runs that are killed: fits ended by SIGKILL at random moments, gone on with, and compared with
one never interrupted.

    python benchmarks/survival.py [--runs 10] [--models mlp,conv,levels] [--seed 0] [--workers 1]
    [--keep FOLDER]

Each run is a process of the command line, `lowerbound fit`, on the digits inside scikit-learn, with
dynamic binarisation, dropout, a warm-up of beta, a falling learning rate, early stopping and the
best weights kept. A process is killed after a time drawn uniformly between its start and the time
that a whole fit takes, and followed by `--resume`, or by the first command again where the kill
came before there was a run; this one to four times. In the end `model.safetensors` and
`metrics.csv` must equal, byte for byte, those of a fit that was never killed. Half of the runs
write a checkpoint every 7 steps, half every 0.2 s.

It prints a table, writes `benchmarks/results/survival.json`, and its exit code is 1 if any run
ended otherwise.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

MODELS = {
    "mlp": """latent = [8]
network = { type = "MLP", hidden = [64] }""",
    "conv": """latent = [8]
network = { type = "Conv", channels = [8, 16], kernel_size = 3, stride = 2 }""",
    "levels": """latent = [8, 4, 2]
network = { type = "MLP", hidden = [32] }
level_network = { type = "MLP", hidden = [16] }""",
}

RECIPE = """[data]
source = "digits"
binarize = "dynamic"
validation = 200
test = 200

[model]
{model}
likelihood = "Bernoulli"
noise = [{{ type = "Dropout", probability = 0.2 }}]

[objective]
type = "Elbo"
beta = {{ type = "Linear", start = 0.0, stop = 1.0, steps = 200 }}

[training]
epochs = {epochs}
batch_size = 64
learning_rate = 4e-3
schedule = {{ type = "Cosine", warmup = 0.05 }}
patience = 3
checkpoint_every = 1
accelerator = "cpu"

[report]
write = false
"""

OFTEN = ("training.checkpoint_steps=7", "training.checkpoint_seconds=0.2")
"""When there is a checkpoint within an epoch; the result must not depend on it."""

SAME = ("model.safetensors", "metrics.csv")
"""What must be equal, byte for byte."""

LIMIT = 180.0
"""Seconds after which a process counts as hanging."""


@dataclass
class Run:
    """One fit, ended and gone on with: the kills with where each fell, and what came out."""

    model: str
    number: int
    often: str
    kills: list[str] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    outcome: str = ""


def write_recipe(folder: Path, model: str, epochs: int) -> Path:
    """The recipe of one of `MODELS`."""
    path = folder / f"{model}.toml"
    path.write_text(RECIPE.format(model=MODELS[model], epochs=epochs), encoding="utf-8")
    return path


def command(recipe: Path, out: Path, *options: str) -> list[str]:
    """A fit as a process."""
    return [sys.executable, "-m", "lowerbound", "fit", str(recipe), "--out", str(out), *options]


def going_on(recipe: Path, out: Path, settings: Sequence[str]) -> list[str]:
    """`--resume` where there is a run; the first command again where there is none."""
    given = [word for setting in settings for word in ("--set", setting)]
    return (
        command(out / "recipe.toml", out, "--resume")
        if (out / "recipe.toml").exists()
        else command(recipe, out, *given)
    )


def started(words: Sequence[str]) -> subprocess.Popen:
    """A process whose output is kept."""
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(words: Sequence[str]) -> str:
    """Runs a process to its end: "" where it ended well, otherwise what it said."""
    done = subprocess.run(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=LIMIT
    )
    return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()[-300:]}"


def place(out: Path) -> str:
    """Where a kill fell, from what the run folder held."""
    if not (out / "recipe.toml").exists():
        return "before there was a run"
    checkpoints = out / "checkpoint"
    if (out / "model.safetensors").exists():
        return "after the weights were written"
    if list(checkpoints.glob(".writing-*")) or list(out.glob(".writing-*")):
        return "while a file was written"
    newest = max(checkpoints.glob("step-*"), default=None)
    if newest is None:
        return "before the first checkpoint"
    state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    return "within an epoch" if state["batch"] else "at an epoch's checkpoint"


def killed(words: Sequence[str], out: Path, seconds: float) -> str | None:
    """Runs a process and kills it after so many seconds: where that fell, or None where it had
    ended before.
    """
    process = started(words)
    try:
        process.communicate(timeout=seconds)
        return None
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return place(out)


def difference(out: Path, reference: Path) -> str:
    """The first file that is not the same, or ""."""
    for name in SAME:
        if (
            not (out / name).exists()
            or (out / name).read_bytes() != (reference / name).read_bytes()
        ):
            return f"{name} differs"
    return ""


def survive(
    run: Run, recipe: Path, out: Path, reference: Path, chance: random.Random, longest: float
) -> Run:
    """Kills a fit one to four times, each within `longest` seconds, goes on, and compares the end
    with the reference.
    """
    wanted = chance.randint(1, 4)
    while len(run.kills) < wanted:
        seconds = chance.uniform(0, longest)
        where = killed(going_on(recipe, out, [run.often]), out, seconds)
        if where is not None:
            run.kills.append(where)
            run.after.append(round(seconds, 2))
        elif run.kills:
            break
        else:  # it was faster: a run that was never killed shows nothing
            shutil.rmtree(out)
            longest *= 0.8
    run.outcome = (
        finished(going_on(recipe, out, [run.often])) or difference(out, reference) or "identical"
    )
    return run


def table(runs: Sequence[Run]) -> str:
    """Markdown: one row for each model, and where the kills fell."""
    lines = ["| model | runs | kills | identical |", "|---|---|---|---|"]
    for name in dict.fromkeys(run.model for run in runs):
        own = [run for run in runs if run.model == name]
        same = sum(run.outcome == "identical" for run in own)
        lines.append(
            f"| {name} | {len(own)} | {sum(len(run.kills) for run in own)} | {same} of {len(own)} |"
        )
    fell = Counter(kill for run in runs for kill in run.kills)
    lines += [
        "",
        "| the kill fell | times |",
        "|---|---|",
        *(f"| {where} | {n} |" for where, n in fell.most_common()),
    ]
    return "\n".join(lines)


def measure(
    folder: Path, models: Sequence[str], count: int, seed: int, epochs: int, workers: int
) -> list[Run]:
    """All runs: a reference of each model, and then those that are killed."""
    recipes = {name: write_recipe(folder, name, epochs) for name in models}
    took = {}
    for name, recipe in recipes.items():
        before = time.monotonic()
        problem = finished(
            command(recipe, folder / f"{name}-whole", "--set", "training.checkpoint_steps=7")
        )
        if problem:
            raise SystemExit(f"the run that is not interrupted fails: {name}: {problem}")
        took[name] = time.monotonic() - before
        print(f"{name}: a whole fit takes {took[name]:.1f} s", file=sys.stderr, flush=True)

    def one(run: Run) -> Run:
        chance = random.Random(f"{seed} {run.model} {run.number}")
        out = folder / f"{run.model}-{run.number}"
        survive(
            run, recipes[run.model], out, folder / f"{run.model}-whole", chance, took[run.model]
        )
        print(
            f"{run.model} {run.number}: {run.outcome}; killed {', '.join(run.kills) or 'never'}",
            file=sys.stderr,
            flush=True,
        )
        return run

    with ThreadPoolExecutor(workers) as pool:
        return list(
            pool.map(one, [Run(name, i, OFTEN[i % 2]) for i in range(count) for name in models])
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="of each model")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--keep", type=Path, help="folder for the runs, which stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs = measure(
            folder, given.models.split(","), given.runs, given.seed, given.epochs, given.workers
        )
    same = sum(run.outcome == "identical" for run in runs)
    kills = sum(len(run.kills) for run in runs)
    print(f"{same} of {len(runs)} runs identical after {kills} kills\n\n{table(runs)}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    found = {
        "identical": same,
        "runs": len(runs),
        "kills": kills,
        "seed": given.seed,
        "each": [asdict(run) for run in runs],
    }
    (results / "survival.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.exit(same < len(runs))


if __name__ == "__main__":
    main()
