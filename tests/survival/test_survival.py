"""Runs that survive, shown on real processes: killed, interrupted, out of disk, damaged, in
company.

Each fit is a process of its own, see `forked`; those that start others (several processes of one
run) are started from the command line. `benchmarks/survival.py` is the long version.
"""

import csv
import importlib
import math
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from spoilt import WORSE, spoil_batch, spoil_gradient, take_long

import forked

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes, signals and mounts as Linux has them"
)

EPOCHS = 8


def _script(name):
    """A module of `benchmarks/`, which is no part of the package; they import each other by
    name.
    """
    folder = str(Path(__file__).parents[2] / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


survival, processes = map(_script, ("survival", "processes"))
steps, reaches = processes.steps, processes.reaches


def slowly(*values):
    """Parameters of the long suite alone."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def without_sizes(lines):
    """The lines without what a fit says first: how many examples train, validate and test."""
    return [line for line in lines if "lowerbound: trains on " not in line]


class Process(forked.Command):
    """A fit that runs by itself; what it says is in `log`."""

    @property
    def told(self):
        """The lines that are messages, but for the one on the sizes of the splits."""
        lines = self.log.read_text().splitlines()
        return [line for line in without_sizes(lines) if line.startswith("lowerbound: ")]


@pytest.fixture
def start(tmp_path):
    """Starts fits, and ends those that still run when the test is over."""
    begun = []

    def call(*words, spoil=None):
        begun.append(Process(tmp_path, words, spoil))
        return begun[-1]

    yield call
    for each in begun:
        each.process.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A fit of each model that nobody disturbed: its recipe, its folder, and the seconds that it
    took.
    """
    folder, found = tmp_path_factory.mktemp("whole"), {}

    def call(model="mlp"):
        if model not in found:
            recipe = survival.write_recipe(folder, model, EPOCHS)
            began = time.monotonic()
            assert Process(folder, ["fit", recipe, "--out", folder / model]).ended() == 0
            found[model] = recipe, folder / model, time.monotonic() - began
        return found[model]

    return call


def fit(recipe, out, *settings):
    """The words of a fit with a checkpoint at every seventh step."""
    return [
        "fit",
        recipe,
        "--out",
        out,
        *(w for s in ("training.checkpoint_steps=7", *settings) for w in ("--set", s)),
    ]


def resume(out):
    return ["fit", out / "recipe.toml", "--out", out, "--resume"]


LARGE = (
    "training.ema=0.9",
    "training.accumulate=2",
    "training.skip_above=8.5",
    "training.clip=10",
    "training.optimizer=Adamax",
    'objective.free_bits={type="Linear",start=2.0,stop=0.0,steps=60}',
)
"""What large models need, all at once."""


def checkpoint_of(out, n=-1):
    return sorted(out.glob("checkpoint/step-*"))[n]


def intact(out):
    """Whether all checkpoints are what their manifests say, and finite."""
    from lowerbound.training.checkpoint import is_whole

    found = sorted(out.glob("checkpoint/step-*"))
    finite = [
        t.isfinite().all() for path in found for t in load_file(path / "model.safetensors").values()
    ]
    return bool(found) and all(map(is_whole, found)) and all(finite)


# 1. Exact resume


@pytest.mark.parametrize("model", ["mlp", "conv", "levels"])
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_been(start, whole, tmp_path, model):
    recipe, reference, seconds = whole(model)
    out, chance, kills = tmp_path / "run", random.Random(model), 0
    for _ in range(6):
        process = start(*(resume(out) if (out / "recipe.toml").exists() else fit(recipe, out)))
        if process.wait(chance.uniform(0.2, 0.8) * seconds) is None:
            process.send(signal.SIGKILL)
            process.ended()
            kills += 1
        elif not kills:
            # The machine has become faster than when the time of a whole run was taken.
            shutil.rmtree(out)
            seconds /= 2
        if kills == 3:
            break
    assert kills
    assert start(*resume(out)).ended() == 0
    assert not survival.difference(out, reference)
    assert not list(out.rglob(".writing-*"))


def test_a_run_of_a_large_models_settings_ends_as_if_it_had_not_been_killed(start, whole, tmp_path):
    recipe, _, _ = whole()
    outs = [tmp_path / "whole", tmp_path / "killed"]
    assert start(*fit(recipe, outs[0], *LARGE)).ended() == 0
    process = start(*fit(recipe, outs[1], *LARGE))
    reaches(outs[1], 35)
    process.send(signal.SIGKILL)
    process.ended()
    assert start(*resume(outs[1])).ended() == 0
    assert not survival.difference(*outs)
    with open(outs[0] / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert 0 < sum(int(row["train_skipped"]) for row in rows) < 22
    assert [float(row["free_bits"]) for row in rows][-1] == 0


def test_a_run_killed_before_it_wrote_anything_starts_again(start, whole, tmp_path):
    recipe, reference, _ = whole()
    out = tmp_path / "run"
    (out / "checkpoint").mkdir(parents=True)
    (out / "checkpoint" / ".lock").touch()
    (out / ".writing-xyz").mkdir()
    (out / ".writing-xyz" / "recipe.toml").write_text("half a rec")
    assert start(*fit(recipe, out)).ended() == 0
    assert not survival.difference(out, reference)
    assert not list(out.rglob(".writing-*"))


# 2. Interrupts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_says_how_to_go_on_and_that_works(start, whole, tmp_path, number, code):
    recipe, reference, _ = whole()
    out = tmp_path / "a run"
    process = start(*fit(recipe, out))
    reaches(out, 20)
    process.send(number)
    assert process.ended() == code
    (told,) = process.told
    step = int(told.partition("step ")[2].partition(";")[0])
    assert steps(out)[-1] == step
    assert intact(out)
    words = shlex.split(told.partition("go on with: ")[2])
    assert words[0] == "lowerbound"
    assert start(*words[1:]).ended() == 0
    assert not survival.difference(out, reference)


def test_a_second_interrupt_leaves_at_once(start, whole, tmp_path):
    recipe, reference, _ = whole()
    out = tmp_path / "run"
    process = start(*fit(recipe, out), spoil=take_long)
    reaches(out, 28)
    time.sleep(0.5)  # in a step of ten seconds
    process.send(signal.SIGINT)
    assert process.wait(1.3) is None
    began = time.monotonic()
    process.send(signal.SIGINT)
    assert process.ended() == 130
    assert time.monotonic() - began < 5
    assert steps(out)[-1] == 28
    assert intact(out)
    assert start(*resume(out)).ended() == 0
    assert not survival.difference(out, reference)


# 3. Atomic and checked


@pytest.fixture(scope="module")
def halfway(whole, tmp_path_factory):
    """A run that was killed in the middle, to be copied."""
    folder = tmp_path_factory.mktemp("halfway")
    recipe, _, _ = whole()
    process = Process(folder, fit(recipe, folder / "run"), None)
    reaches(folder / "run", 60)
    process.send(signal.SIGKILL)
    process.ended()
    return folder / "run"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda folder: truncate(folder / "model.safetensors"),
    "flipped": lambda folder: flip(folder / "optimizer.safetensors"),
    "missing": lambda folder: (folder / "best.safetensors").unlink(),
    "state": lambda folder: (folder / "state.json").write_text("{"),
    "manifest": lambda folder: (folder / "manifest.json").write_text("[1]"),
}


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", *slowly("missing", "state", "manifest")]
)
def test_a_damaged_checkpoint_is_passed_over(start, whole, halfway, tmp_path, damage):
    out = shutil.copytree(halfway, tmp_path / "run")
    DAMAGES[damage](checkpoint_of(out))
    name, before = checkpoint_of(out).name, checkpoint_of(out, -2).name
    process = start(*resume(out))
    assert process.ended() == 0
    (told,) = process.told
    assert name in told
    assert told.endswith(f"going on from {before}")
    assert not survival.difference(out, whole()[1])
    assert intact(out)


def test_if_all_checkpoints_are_damaged_one_line_says_so(start, halfway, tmp_path):
    out = shutil.copytree(halfway, tmp_path / "run")
    for n in range(len(steps(out))):
        DAMAGES["truncated"](checkpoint_of(out, n))
    process = start(*resume(out))
    assert process.ended() == 2
    (told,) = process.told
    assert "no checkpoint" in told
    assert "Traceback" not in process.log.read_text()


@pytest.fixture
def disk(tmp_path):
    """A small file system in memory: its folder, and a function that makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"needs to mount a tmpfs: {made.stderr.strip()}")

    def remount(mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", folder], check=True)

    yield folder, remount
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("room", [0, *slowly(0.2, 0.5), 0.9])
def test_a_full_disk_costs_no_checkpoint(start, whole, halfway, disk, room):
    """There is room for this part of a checkpoint."""
    folder, _ = disk
    out = shutil.copytree(halfway, folder / "run")
    size = sum(path.stat().st_size for path in checkpoint_of(out).iterdir())
    with open(folder / "full", "wb") as file:
        file.write(bytes(shutil.disk_usage(folder).free - int(room * size)))
    process = start(*resume(out))
    assert process.ended() == 2
    (told,) = process.told
    assert "No space left" in told
    assert "Traceback" not in process.log.read_text()
    assert intact(out)
    (folder / "full").unlink()
    assert start(*resume(out)).ended() == 0
    assert not survival.difference(out, whole()[1])


def test_a_read_only_folder_is_one_line(start, halfway, whole, disk):
    folder, remount = disk
    out = shutil.copytree(halfway, folder / "run")
    remount("ro")
    for words in (resume(out), fit(whole()[0], folder / "new")):
        process = start(*words)
        assert process.ended() == 2
        (told,) = process.told
        assert "Read-only" in told
        assert "Traceback" not in process.log.read_text()
    remount("rw")
    assert intact(out)


def test_a_folder_that_another_process_writes_is_left_alone(start, whole, tmp_path):
    recipe, reference, _ = whole()
    out = tmp_path / "run"
    first = start(*fit(recipe, out))
    reaches(out, 14)
    first.send(signal.SIGSTOP)
    second = start(*resume(out))
    assert second.ended() == 2
    (told,) = second.told
    assert "another process" in told
    first.send(signal.SIGCONT)
    assert first.ended() == 0
    assert not survival.difference(out, reference)


@pytest.mark.parametrize("what", ["moved", "removed"])
def test_a_folder_that_is_taken_away_ends_the_fit(start, whole, tmp_path, what):
    out = tmp_path / "run"
    process = start(*fit(whole()[0], out, "training.epochs=500"))
    reaches(out, 14)
    process.send(signal.SIGSTOP)
    out.rename(tmp_path / "elsewhere")
    if what == "removed":
        shutil.rmtree(tmp_path / "elsewhere")
        out.mkdir()
        (out / "theirs").touch()
    process.send(signal.SIGCONT)
    assert process.ended() == 2
    (told,) = process.told
    assert told == (
        f"lowerbound: {out} was moved or removed while the fit wrote it; nothing more is written "
        "there"
    )
    assert (
        not out.exists() if what == "moved" else [path.name for path in out.iterdir()] == ["theirs"]
    )


def test_a_run_of_another_recipe_is_not_gone_on_with(start, halfway, tmp_path):
    out = shutil.copytree(halfway, tmp_path / "run")
    process = start(*resume(out), "--set", "model.latent=[3]")
    assert process.ended() == 2
    (told,) = process.told
    assert "model.latent" in told
    assert intact(out)


# 4. Numbers that go wrong


@pytest.mark.parametrize("spoil", [spoil_batch, spoil_gradient])
def test_numbers_that_go_wrong_stop_the_fit_and_leave_a_good_checkpoint(
    start, whole, tmp_path, spoil
):
    out = tmp_path / "run"
    process = start(*fit(whole()[0], out), spoil=spoil)
    assert process.ended() == 1
    (told,) = process.told
    assert str(checkpoint_of(out)) in told
    assert steps(out)[-1] == 28
    assert intact(out)
    if spoil is spoil_batch:
        assert f"at step {WORSE};" in told
        assert "log_likelihood_term" in told
        assert re.search(r"of latents\.\S+ \(\w+\);", told)
    else:
        assert "gradient" in told
        assert "NaN" in told
    assert start(*resume(out)).ended() == 0
    assert not survival.difference(out, whole()[1])


def test_a_learning_rate_that_is_far_too_large_is_told(start, whole, tmp_path):
    out = tmp_path / "run"
    process = start(
        *fit(whole()[0], out, "training.learning_rate=1e30", "training.checkpoint_steps=1")
    )
    assert process.ended() == 1
    (told,) = process.told
    assert "step" in told
    assert not steps(out) or intact(out)


@pytest.mark.parametrize("spoil", [spoil_gradient, *slowly(spoil_batch)])
def test_a_step_that_goes_wrong_can_be_left_out(start, whole, tmp_path, spoil):
    skip, outs = "training.on_nonfinite=skip", [tmp_path / "a", tmp_path / "b"]
    assert start(*fit(whole()[0], outs[0], skip), spoil=spoil).ended() == 0
    process = start(*fit(whole()[0], outs[1], skip), spoil=spoil)
    reaches(outs[1], 35)
    process.send(signal.SIGKILL)
    process.ended()
    assert start(*resume(outs[1]), spoil=spoil).ended() == 0
    assert not survival.difference(outs[1], outs[0])
    with open(outs[0] / "metrics.csv") as file:
        assert [int(row["train_skipped"]) for row in csv.DictReader(file)][:3] == [0, 1, 0]


# 5. Several processes


def together(recipe, out, *settings):
    """The words of a run of two processes, started from the command line."""
    return processes.together(
        "devices", recipe, out, *processes.setting(*processes.SETTINGS, *settings)
    )


def test_a_traceback_counts_unless_it_is_the_launchers_own():
    head, own = (
        "Traceback (most recent call last):\n",
        '  File "/lib/torch/distributed/run.py", line 1, in main\n    run(args)\n',
    )
    fault = '  File "/lowerbound/training.py", line 1, in _step\n    terms = 1 / 0\n'
    assert processes.tracebacks(f"epoch 1\n{head}{own}Error: 1\n") == 0
    prefixed = "".join(f"[rank1]: {line}\n" for line in f"{head}{fault}Error: 1".splitlines())
    assert processes.tracebacks(f"{head}{own}Error: 1\n{head}{fault}Error: 2\n{prefixed}") == 2


def test_two_curves_are_apart_by_their_largest_relative_difference(tmp_path):
    curves = {"a": "1,2\n2,4\n", "b": "1,2\n2,5\n", "short": "1,2\n", "broken": "1,2\n2,nan\n"}
    for name, lines in curves.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(f"epoch,bound\n{lines}")
    found = [processes.apart(tmp_path / "a", tmp_path / name) for name in curves]
    assert found == [0, pytest.approx(0.2), math.inf, math.inf]


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        ("ddp", ()),
        ("fsdp", ()),
        ("ddp", LARGE),
        pytest.param("fsdp", LARGE, marks=pytest.mark.slow),
    ],
    ids=["ddp", "fsdp", "ddp-large", "fsdp-large"],
)
def test_two_processes_train_as_one_and_one_goes_on_where_two_were_interrupted(
    start, whole, tmp_path, strategy, more
):
    """349 does not divide by two, and the last batch of 1,397 examples has one."""
    settings = (
        "training.batch_size=349",
        "training.epochs=8",
        "training.patience=none",
        f"training.strategy={strategy}",
        *more,
    )
    one, two = tmp_path / "one", tmp_path / "two"
    assert start(*fit(whole()[0], one, *settings)).ended() == 0
    ended = processes.ended_by(together(whole()[0], two, *settings), two, "second", signal.SIGTERM)
    assert ended.code == 143
    (told,) = without_sizes(ended.told)
    assert "go on with" in told
    assert not ended.tracebacks
    assert ended.seconds < 30
    assert start(*resume(two), "--devices", "1").ended() == 0
    assert processes.same_curve(one, two)


@pytest.mark.parametrize(
    "words",
    [
        (
            "multvae --set training.optimizer=LazyAdam --set training.batch_size=8 --set "
            "training.monitor=objective"
        ),
        "conv-mnist --data digits --set training.batch_size=349",
    ],
    ids=["interactions", "images"],
)
def test_two_processes_train_a_packaged_recipe_as_one_and_say_nothing_more(start, tmp_path, words):
    """Dropout on the entries of sparse rows, and rows that are updated by themselves; kernels that
    lie channels last.
    """
    given = [
        *words.split(),
        *processes.setting("training.epochs=1", "report.write=false", "training.accelerator=cpu"),
    ]
    assert start("fit", *given, "--out", tmp_path / "one").ended() == 0
    both = [
        sys.executable,
        "-m",
        "lowerbound",
        "fit",
        *given,
        "--out",
        str(tmp_path / "two"),
        "--devices",
        "2",
    ]
    done = subprocess.run(both, capture_output=True, text=True, timeout=forked.LIMIT)
    assert done.returncode == 0
    assert processes.same_curve(tmp_path / "one", tmp_path / "two")
    lines = without_sizes(done.stderr.splitlines())
    assert [line for line in lines if not line.startswith("epoch ")] == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["first", "second"], ids=["main", "child"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_one_process_is_the_end_of_all_and_they_go_on(
    start, whole, tmp_path, victim, number
):
    settings = ("training.batch_size=65", "training.epochs=6", "training.patience=none")
    one, two = tmp_path / "one", tmp_path / "two"
    assert start(*fit(whole()[0], one, *settings)).ended() == 0
    ended = processes.ended_by(together(whole()[0], two, *settings), two, victim, number, at=50)
    assert ended.seconds < 30
    assert ended.told
    assert ended.code == (
        (-9 if victim == "first" else 1) if number == signal.SIGKILL else 128 + number
    )
    assert not processes.finished([sys.executable, "-m", "lowerbound", *map(str, resume(two))])
    assert processes.same_curve(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "fabric"])
def test_processes_whose_launcher_was_killed_stop_at_a_checkpoint(whole, tmp_path, launcher):
    out = tmp_path / "run"
    settings = processes.setting(*processes.SETTINGS, "training.epochs=500")
    ended = processes.ended_by(
        processes.together(launcher, whole()[0], out, *settings), out, "launcher", signal.SIGKILL
    )
    assert not ended.left
    assert len(ended.told) == 1
    assert "the checkpoint is written; go on with: " in ended.told[0]
    assert intact(out)


@pytest.mark.slow
def test_a_second_interrupt_leaves_at_once_though_another_process_hangs(whole, tmp_path):
    out = tmp_path / "run"
    words = together(whole()[0], out, "training.epochs=5000")
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        reaches(out, 14)
        family = processes.family(process.pid)
        other = processes.member(process.pid, "second")
        os.kill(other, signal.SIGSTOP)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        os.kill(other, signal.SIGCONT)
        assert not processes.gone(family, 60)
        assert "lowerbound: stopped at once" in process.stderr.read()
    assert intact(out)
