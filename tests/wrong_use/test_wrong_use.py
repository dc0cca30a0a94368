"""Wrong use: what each mistake gets, word for word. One line on standard error, exit code 2, and
nothing left behind.

A command is written as one would type it. Words of it that name something in `MAKE`, `FITTED` or
`CHANGED` (a file, a folder or a run) are made first, in the empty folder in which the command runs.
In messages HERE is that folder.
"""
# ruff: noqa: E501 - a message is one line here as it is on the screen, so that it can be searched for

import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lowerbound
from lowerbound import data, evaluation, recipe
from lowerbound.data.files.folders import SUFFIXES
from lowerbound.data.files.sources import all_readers
from lowerbound.data.memory import ALLOWED
from lowerbound.errors import ConfigError, DataError, RunError, ShapeError
from lowerbound.evaluation.ranking import METRICS
from lowerbound.model import Architecture
from lowerbound.networks import MLP, Conv
from lowerbound.objectives import Elbo
from lowerbound.sparse import SparseRows

SETS = ", ".join(data.named_sets())
KINDS = "; ".join(reader.summary for reader in all_readers())
PICTURES = f"files that end in {', '.join(SUFFIXES)}"
RECIPES = ", ".join(recipe.packaged())
CORES = str(os.cpu_count())

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 6, 6)).astype(np.uint8)
REAL = RNG.normal(size=(20, 3)).round(3)
PLAYS = [(f"u{u:02}", f"i{i}") for u in range(30) for i in RNG.choice(12, 6, replace=False)]


def with_value(values, at, value):
    changed = values.copy()
    changed[at] = value
    return changed


def csv(rows, names):
    return "\n".join([names, *(",".join(map(str, row)) for row in rows)]) + "\n"


def array(values):
    return lambda path: np.save(path, values, allow_pickle=values.dtype == object)


def arrays(**values):
    return lambda path: np.savez(path, **values)


def text(content):
    return lambda path: path.write_text(content)


def pictures(*shapes):
    def make(path):
        path.mkdir()
        for name, shape in zip("abcdefghijkl", shapes, strict=False):
            Image.fromarray(np.zeros(shape, np.uint8)).save(path / f"{name}.png")

    return make


def folder(**files):
    def make(path):
        path.mkdir()
        for name, content in files.items():
            (path / name.replace("_", ".")).write_bytes(content)

    return make


def half(path):
    array(GREY)(path)
    path.write_bytes(path.read_bytes()[:150])


PLAIN = """
[data]
source = ""
standardize = true

[model]
latent = [8]
network = { type = "MLP", hidden = [128, 128], activation = "silu" }
likelihood = { type = "Normal", variance = "learned" }

[training]
epochs = 200
batch_size = 128
learning_rate = 1e-3
clip = 10.0
patience = 20
"""
"""A recipe for a table of numbers alone, without gaps."""

MAKE = {
    "grey.npy": array(GREY),
    "small.npy": array(GREY[:, :4, :4]),
    "colour.npy": array(np.stack([GREY] * 3, -1)),
    "floats.npy": array((GREY / 255).astype(np.float32)),
    "between.npy": array((GREY / 256).astype(np.float32)),
    "beyond.npy": array((GREY / 51).astype(np.float32)),
    "black.npy": array(np.zeros((9, 6, 6), np.uint8)),
    "dots.npy": array(GREY[:, :1, :1]),
    "one.npy": array(GREY[:1]),
    "none.npy": array(GREY[:0]),
    "real.npy": array(REAL),
    "nan.npy": array(with_value(REAL, (3, 1), np.nan)),
    "inf.npy": array(with_value(REAL, (0, 0), np.inf)),
    "complex.npy": array(REAL.astype(complex)),
    "string.npy": array(np.array([["a", "b"]])),
    "object.npy": array(np.array([[1, "a"], [None, 2]], object)),
    "axes.npy": array(np.zeros((2,) * 5)),
    "flat.npy": array(np.zeros(9)),
    "channels.npy": array(np.zeros((4, 5, 6, 7), np.uint8)),
    "empty.npy": text(""),
    "half.npy": half,
    "labels.npz": arrays(x=GREY, labels=np.arange(4)),
    "keys.npz": arrays(foo=GREY, bar=GREY),
    "parts.npz": arrays(train=GREY, test=GREY[:, :4]),
    "good.csv": text(csv(REAL, "a,b,c")),
    "narrow.csv": text(csv(REAL[:, :2], "a,b")),
    "wide.csv": text(csv(np.c_[REAL, REAL[:, :1]], "a,b,c,d")),
    "constant.csv": text(csv(with_value(REAL, (slice(None), 1), 2.0), "a,b,c")),
    "row.csv": text(csv(REAL[:1], "a,b,c")),
    "rows.csv": text(csv(REAL[:4], "a,b,c")),
    "empty.csv": text(""),
    "header.csv": text("a,b,c\n"),
    "money.csv": text("a,b\n$1,2\n$3,4\n"),
    "thousands.csv": text("a;b\n1.234,5;2\n3;4\n"),
    "comma.csv": text('a,b\n"1,5",2\n"3,5",4\n'),
    "dashes.csv": text("a,b\n1,-\n2,n/a\n3,4\n"),
    "text.csv": text("a,b,c\n1,2,x\n3,4,y\n5,6,z\n"),
    "missing.csv": text("a,b,c\n1,2,3\n,5,6\n4,1,2\n7,8,1\n"),
    "nan.csv": text("a,b,c\n1,2, Inf\n3,5,6\n4,nan,2\n7,NaN,1\n"),
    "ragged.csv": text('a,b,c\n1,2,3\n4,"5",6\n7,8,9,10\n'),
    "raggedplays.tsv": text("user\titem\nu\ta\nv\tb\tc\n"),
    "twice.csv": text("a,b,a\n1,2,3\n3,4,5\n"),
    "twoplays.csv": text("user,item,user\nu,a,v\nv,b,w\n"),
    "longplays.csv": text(f"user,item\n{'u' * 2000},a\nv,b\n"),
    "text.npy": text("1,2,3\n4,5,6\n"),
    "archive.npy": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)),
    "array.npz": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + bytes(60)),
    "plays.csv": text(csv(PLAYS, "user,item")),
    "usdates.csv": text("user,item,date\nu,a,03/12/2020\nu,b,11/05/2020\nu,c,05/10/2020\n"),
    "shortdates.csv": text("user,item,date\nu,a,03/12/20\nu,b,11/05/20\nu,c,05/10/20\n"),
    "bareplays.txt": text("u\tx\ta\t1\t2\nv\tx\tb\t1\t2\n"),
    "lonely.csv": text("user,item\n" + "".join(f"{k},{k % 7}\n" for k in range(60))),
    "oneuser.csv": text("user,item\nu,a\nu,b\nu,c\n"),
    "rated.csv": text(
        csv([(f"u{k % 5}", f"i{k % 7}", k % 3) for k in range(30)], "user,item,rating")
    ),
    "badrating.csv": text("user,item,rating\nu,a,nan\nv,b,2\n"),
    "textrating.csv": text("user,item,rating\nu,a,good\nv,b,bad\n"),
    "noitem.csv": text("user,stars\na,1\n"),
    "nothing.csv": text("user,item\n"),
    "strange.csv": text("user,item\nu,zzz\nv,yyy\n"),
    "thing.xyz": text("x"),
    "file": text("x"),
    "empty": folder(),
    "notes": folder(a_txt=b"x"),
    "broken": folder(a_png=b"\x89PNG broken"),
    "two": folder(a_png=b"x", b_png=b"x"),
    "sizes": pictures((4, 5), (5, 5)),
    "points": pictures(*[(1, 1)] * 9),
    "cut.toml": text("[data]\nsource='digits'\n[model]\nlatent=[2"),
    "nodata.toml": text("[model]\nlatent=[2]\n"),
    "three.toml": text("data = 3\n"),
    "plain.toml": text(PLAIN),
    "modell.toml": text("[data]\nsource='digits'\n[modell]\nlatent=[2]\n"),
}

FAST = "--set training.epochs=1 --set report.write=false --set training.accelerator=cpu --set model.latent=[2]"

FITTED = {
    "image": "aevb-mnist --data grey.npy --set data.binarize=none --set data.validation=2 "
    "--set model.likelihood=ContinuousBernoulli --set model.network.hidden=[4]",
    "table": "plain.toml --data good.csv --set model.network.hidden=[4]",
    "mixed": "table --data good.csv --set model.network.hidden=[4]",
    "users": "multvae --data plays.csv --set model.network.hidden=[4]",
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with one small run of each kind."""
    folder = tmp_path_factory.mktemp("fitted")
    for name, command in FITTED.items():
        plan, *words = shlex.split(f"{command} {FAST}")
        if plan in MAKE:
            MAKE[plan](folder / plan)
            plan = folder / plan
        source = folder / words[1]
        MAKE[words[1]](source)
        settings = recipe.settings(word for word in words[2:] if word != "--set")
        lowerbound.fit(plan, data=source, out=folder / name, settings=settings, progress=False)
    return folder


GREYS = (
    "--set data.binarize=none --set data.validation=2 --set model.likelihood=ContinuousBernoulli"
)
"""What makes the recipe of binarised digits one for any small grey images."""


def rewritten(file, change):
    return lambda run: (run / file).write_text(change((run / file).read_text()))


def without_weights(run):
    (run / "model.safetensors").unlink()
    shutil.rmtree(run / "checkpoint")


CHANGED = {
    "twin": ("image", lambda run: None),
    "unfinished": ("image", without_weights),
    "stopped": ("image", lambda run: (run / "model.safetensors").unlink()),
    "later": (
        "image",
        rewritten("data.json", lambda text: json.dumps(json.loads(text) | {"format": 99})),
    ),
    "damaged": ("image", lambda run: (run / "model.safetensors").write_bytes(b"x" * 50)),
    "swapped": (
        "image",
        lambda run: shutil.copy(run.with_name("table") / "model.safetensors", run),
    ),
    "badrecipe": (
        "image",
        rewritten("recipe.toml", lambda text: text.replace("[model]", "[model]\nsize = 3")),
    ),
    "notjson": ("image", rewritten("data.json", lambda text: "{")),
    "noitems": ("users", lambda run: (run / "items.parquet").unlink()),
    "moved": ("image", rewritten("recipe.toml", lambda text: text.replace("grey.npy", "gone.npy"))),
}
"""Runs that something happened to: of which kind, and what."""


def make(name, here, fitted):
    """What a word of a command names, if it names something."""
    if name in MAKE and not (here / name).exists():
        MAKE[name](here / name)
    if name in FITTED and not (here / name).exists():
        shutil.copytree(fitted / name, here / name)
    if name in CHANGED:
        kind, change = CHANGED[name]
        for each in {kind, "table"} - {name}:
            make(each, here, fitted)
        shutil.copytree(here / kind, here / name)
        change(here / name)


def prepared(command, here, fitted):
    """The words of a command, after what they name was made."""
    words = shlex.split(command)
    for word in words[1:]:
        make(word.partition("/")[0], here, fitted)
    return (
        [*words[:2], *shlex.split(FAST), *words[2:]]
        if words[0] == "fit" and len(words) > 1
        else words
    )


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in Path(folder).rglob("*")}


WRONG = [
    (
        "an unknown command",
        "fti",
        "unknown command 'fti'; did you mean 'fit'? Allowed: describe, fit, evaluate, report, compare, score, sample, encode, impute, recommend, similar, tune, export, serve, push, list, show, doctor; see lowerbound --help",
    ),
    (
        "an unknown option",
        "fit plain.toml --sede 3",
        "unknown option '--sede'; did you mean '--seed'? Allowed: --data, --out, --set, --seed, --devices, --from, --resume, --allow-code, --json, --help; see lowerbound fit --help",
    ),
    ("no recipe", "fit", "missing argument 'RECIPE'; see lowerbound fit --help"),
    (
        "one argument too many",
        "fit plain.toml good.csv",
        "got unexpected extra argument(s) (good.csv); see lowerbound fit --help",
    ),
    (
        "an option without a value",
        "fit plain.toml --set",
        "option '--set' requires an argument; see lowerbound --help",
    ),
    (
        "a flag with a value",
        "fit plain.toml --json=3",
        "option '--json' does not take a value; see lowerbound --help",
    ),
    (
        "a word for a number",
        "evaluate image --samples many",
        "--samples should be a whole number, got 'many'; see lowerbound evaluate --help",
    ),
    (
        "a seed below 0",
        "sample image --out s.png --seed -1",
        "--seed should be greater than or equal to 0, got '-1'; see lowerbound sample --help",
    ),
    (
        "a seed beyond 64 bits",
        "sample image --out s.png --seed 9223372036854775808",
        "--seed should be less than or equal to 9223372036854775807, got '9223372036854775808'; see lowerbound sample --help",
    ),
    (
        "an unknown catalogue",
        "list recipies",
        "unknown catalogue 'recipies'; did you mean 'recipes'? Allowed: recipes, data, networks, networks.ladders, families, columns.families, noise, priors, objectives, schedules, baselines.linear, optimizers, trackers, baselines",
    ),
    (
        "an unknown recipe",
        "fit digitz",
        f"unknown recipe 'digitz'; did you mean 'digits'? Allowed: {RECIPES}, or the path of a TOML file",
    ),
    (
        "no recipe file",
        "fit nowhere.toml",
        f"unknown recipe 'nowhere.toml'; allowed: {RECIPES}, or the path of a TOML file",
    ),
    (
        "a folder for a recipe",
        "fit empty",
        f"unknown recipe 'empty'; allowed: {RECIPES}, or the path of a TOML file",
    ),
    (
        "a recipe that is not TOML",
        "fit cut.toml",
        "cut.toml: not a TOML file: Unclosed array (at end of document)",
    ),
    (
        "a recipe that is no text",
        "fit grey.npy",
        "grey.npy: not a TOML file: 'utf-8' codec can't decode byte 0x93 in position 0: invalid start byte",
    ),
    ("a recipe without data", "fit nodata.toml", "nodata.toml: data: is missing"),
    (
        "a number for a table",
        "fit three.toml",
        "three.toml: data: should be a table of keys and values, got 3",
    ),
    (
        "an unknown table",
        "fit modell.toml",
        "modell.toml: unknown key 'modell'; did you mean 'model'? Allowed: data, about, model, objective, training, blend, report, tracking",
    ),
    (
        "no data",
        "fit table",
        "recipe table has no data of its own: give --data SOURCE (data= in Python)",
    ),
    (
        "--set without =",
        "fit plain.toml --set training.epochs",
        "--set needs KEY=VALUE, got 'training.epochs'; for example --set training.epochs=5",
    ),
    (
        "--set without a key",
        "fit plain.toml --set =3",
        "--set needs KEY=VALUE, got '=3'; for example --set training.epochs=5",
    ),
    (
        "an unknown table by --set",
        "fit plain.toml --data good.csv --set modell.latent=[2]",
        "recipe: unknown key 'modell'; did you mean 'model'? Allowed: data, about, model, objective, training, blend, report, tracking",
    ),
    (
        "an unknown key of the model",
        "fit plain.toml --data good.csv --set model.latnet=[2]",
        "recipe: model: unknown key 'latnet'; did you mean 'latent'? Allowed: latent, network, decoder_network, level_network, posterior, likelihood, prior, level_prior, noise, heads, output_bias, start, ladder, conditional_prior",
    ),
    (
        "an unknown key of a part",
        "fit plain.toml --data good.csv --set model.network.hiden=[3]",
        "recipe: model.network: unknown key 'hiden'; did you mean 'hidden'? Allowed: hidden, activation, init, activate_code, linear_path",
    ),
    (
        "an unknown key of interactions",
        "fit plain.toml --data good.csv --set data.interactions.usr=x",
        "recipe: data.interactions: unknown key 'usr'; did you mean 'user'? Allowed: user, item, rating, timestamp, time_format, event, events, threshold, binary, min_user_items, min_item_users, split, fold_in, items, users, keep_split",
    ),
    (
        "a key below a value",
        "fit plain.toml --data good.csv --set training.epochs.x=3",
        "recipe: training.epochs: should be a whole number",
    ),
    (
        "an unknown network",
        "fit plain.toml --data good.csv --set model.network=MLQ",
        "recipe: model.network: unknown network 'MLQ'; did you mean 'MLP'? Allowed: Conv, DenseMLP, MLP, ResNet",
    ),
    (
        "an unknown family",
        "fit plain.toml --data good.csv --set model.posterior=Norml",
        "recipe: model.posterior: unknown family 'Norml'; did you mean 'Normal'? Allowed: Normal, Bernoulli, Multinomial, ContinuousBernoulli, Delta, DiscretizedLogistic, MixtureLogistic, Columns, FlowPosterior",
    ),
    (
        "an unknown objective",
        "fit plain.toml --data good.csv --set objective=Elbow",
        "recipe: objective: unknown objective 'Elbow'; did you mean 'Elbo'? Allowed: Elbo, Iwae, Reconstruction, PublishedHierarchical",
    ),
    (
        "an unknown schedule",
        "fit plain.toml --data good.csv --set training.schedule=Cosin",
        "recipe: training.schedule: unknown schedule 'Cosin'; did you mean 'Cosine'? Allowed: Constant, Linear, Cosine, LinearDecay, OneCycle, Stages",
    ),
    (
        "an unknown optimizer",
        "fit plain.toml --data good.csv --set training.optimizer=Adma",
        "recipe: training.optimizer: unknown optimizer 'Adma'; did you mean 'Adamax'? Allowed: ASGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Muon, NAdam, RAdam, RMSprop, Rprop, SGD, LazyAdam",
    ),
    (
        "a number for a part",
        "fit plain.toml --data good.csv --set model.network=3",
        "recipe: model.network: should be the name or the table of a network, got 3",
    ),
    (
        "a number for a model",
        "fit plain.toml --data good.csv --set model=3",
        "recipe: model: should be a table of keys and values, got 3",
    ),
    (
        "a part without a type",
        "fit plain.toml --data good.csv --set 'model.network={hidden=[3]}' --set model.network.type=none",
        "recipe: model.network: a network needs a type; allowed: Conv, DenseMLP, MLP, ResNet",
    ),
    (
        "no epochs",
        "fit plain.toml --data good.csv --set training.epochs=0",
        "recipe: training.epochs: should be greater than 0, got 0",
    ),
    (
        "a fraction of an epoch",
        "fit plain.toml --data good.csv --set training.epochs=2.5",
        "recipe: training.epochs: should be a whole number, got 2.5",
    ),
    (
        "a word for epochs",
        "fit plain.toml --data good.csv --set training.epochs=many",
        "recipe: training.epochs: should be a whole number, got 'many'",
    ),
    (
        "true for epochs",
        "fit plain.toml --data good.csv --set training.epochs=true",
        "recipe: training.epochs: should be a whole number, got True",
    ),
    (
        "true for a learning rate",
        "fit plain.toml --data good.csv --set training.learning_rate=true",
        "recipe: training.learning_rate: should be a number, got True",
    ),
    (
        "true in a list of sizes",
        "fit plain.toml --data good.csv --set model.latent=[2,true]",
        "recipe: model.latent.1: should be a whole number, got True",
    ),
    (
        "true for a beta",
        "fit plain.toml --data good.csv --set objective.beta=true",
        "recipe: objective.beta: should be a number or the name or the table of a schedule, got True",
    ),
    (
        "NaN for epochs",
        "fit plain.toml --data good.csv --set training.epochs=nan",
        "recipe: training.epochs: should be a finite number, got nan",
    ),
    (
        "a learning rate below 0",
        "fit plain.toml --data good.csv --set training.learning_rate=-1",
        "recipe: training.learning_rate: should be greater than 0, got -1",
    ),
    (
        "an infinite learning rate",
        "fit plain.toml --data good.csv --set training.learning_rate=inf",
        "recipe: training.learning_rate: should be a finite number, got inf",
    ),
    (
        "no examples in a batch",
        "fit plain.toml --data good.csv --set training.batch_size=0",
        "recipe: training.batch_size: should be greater than 0, got 0",
    ),
    (
        "no samples of z",
        "fit plain.toml --data good.csv --set training.samples=0",
        "recipe: training.samples: should be greater than 0, got 0",
    ),
    (
        "patience 0",
        "fit plain.toml --data good.csv --set training.patience=0",
        "recipe: training.patience: should be greater than 0, got 0",
    ),
    (
        "a clip of 0",
        "fit plain.toml --data good.csv --set training.clip=0",
        "recipe: training.clip: should be greater than 0, got 0",
    ),
    (
        "an option that the optimiser lacks",
        "fit plain.toml --data good.csv --set training.optimizer_options.foo=3",
        "training.optimizer_options: Adam: Adam.__init__() got an unexpected keyword argument 'foo'",
    ),
    (
        "the learning rate as an option",
        "fit plain.toml --data good.csv --set training.optimizer_options.lr=3",
        "recipe: training.optimizer_options: lr is training.learning_rate, not an option",
    ),
    (
        "a bad value for the optimiser",
        "fit plain.toml --data good.csv --set training.optimizer_options.betas=[2,3]",
        "training.optimizer_options: Adam: Invalid beta parameter at index 0: 2.0",
    ),
    (
        "an unknown monitor",
        "fit plain.toml --data good.csv --set training.monitor=elbo",
        "training.monitor=elbo needs interactions with a validation split; allowed: objective",
    ),
    (
        "a misspelt metric",
        "fit multvae --data plays.csv --set training.monitor=ndgc@10",
        (
            "training.monitor is objective or a ranking metric: "
            f"unknown metric 'ndgc'; did you mean 'ndcg'? Allowed: {', '.join(METRICS)}"
        ),
    ),
    (
        "a list whose quotes the shell took",
        "fit plain.toml --data good.csv --set model.noise=[Dropout]",
        (
            "recipe: model.noise: should be a list in square brackets, got '[Dropout]'; "
            """texts within brackets have quotes, which a shell takes away: '["a", "b"]'"""
        ),
    ),
    (
        "an optimiser that cannot be sharded",
        "fit plain.toml --data good.csv --set training.strategy=fsdp --set training.optimizer=Rprop",
        (
            "recipe: training: strategy='fsdp': Rprop needs whole weights; "
            "allowed: ASGD, Adadelta, Adagrad, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, SGD"
        ),
    ),
    (
        "CUDA graphs of steps in several parts",
        "fit plain.toml --data good.csv --set training.compile=graphs --set training.accumulate=2",
        "recipe: training: accumulate=2 is for models as they are, got compile='graphs'; allowed: false, 'auto'",
    ),
    (
        "a sharded model that is compiled",
        "fit plain.toml --data good.csv --set training.strategy=fsdp --set training.compile=true",
        "recipe: training: strategy='fsdp' is for models as they are, got compile=True; allowed: false, 'auto'",
    ),
    (
        "an unknown strategy",
        "fit plain.toml --data good.csv --set training.strategy=zero",
        "recipe: training.strategy: should be 'ddp' or 'fsdp', got 'zero'",
    ),
    (
        "a ranking metric for a table",
        "fit plain.toml --data good.csv --set training.monitor=ndcg@10",
        "training.monitor=ndcg@10 needs interactions with a validation split; allowed: objective",
    ),
    (
        "an unknown precision",
        "fit plain.toml --data good.csv --set training.precision=8",
        "recipe: training.precision: should be '32-true', 'bf16-mixed' or '64-true', got 8",
    ),
    (
        "an unknown accelerator",
        "fit plain.toml --data good.csv --set training.accelerator=tpu",
        "recipe: training.accelerator: should be 'auto', 'cpu', 'cuda' or 'mps', got 'tpu'",
    ),
    (
        "a training seed below 0",
        "fit plain.toml --data good.csv --seed -1",
        "recipe: training.seed: should be greater than or equal to 0, got -1",
    ),
    (
        "a training seed beyond 64 bits",
        "fit plain.toml --data good.csv --seed 9223372036854775808",
        "recipe: training.seed: should be less than 9223372036854775808, got 9223372036854775808",
    ),
    (
        "no devices",
        "fit plain.toml --data good.csv --devices 0",
        "recipe: training.devices: should be greater than 0, got 0",
    ),
    (
        "fewer than no devices",
        "fit plain.toml --data good.csv --devices -1",
        "recipe: training.devices: should be greater than 0, got -1",
    ),
    (
        "more devices than cores",
        "fit plain.toml --data good.csv --devices 5000",
        f"training.devices: 5000 processes, but this machine has {CORES} cores",
    ),
    (
        "latent 0",
        "fit plain.toml --data good.csv --set model.latent=0",
        "recipe: model.latent: should be a list in square brackets, got 0",
    ),
    (
        "a level of size 0",
        "fit plain.toml --data good.csv --set model.latent=[0]",
        "recipe: model.latent.0: should be greater than 0, got 0",
    ),
    (
        "no levels",
        "fit plain.toml --data good.csv --set model.latent=[]",
        "recipe: model.latent: must be the sizes of one level or more, such as [20], got none",
    ),
    (
        "a level of negative size",
        "fit plain.toml --data good.csv --set model.latent=[4,-3]",
        "recipe: model.latent.1: should be greater than 0, got -3",
    ),
    (
        "text for latent",
        "fit plain.toml --data good.csv --set model.latent=two",
        "recipe: model.latent: should be a list in square brackets, got 'two'",
    ),
    (
        "text for a level",
        "fit plain.toml --data good.csv --set 'model.latent=[\"two\"]'",
        "recipe: model.latent.0: should be a whole number, got 'two'",
    ),
    (
        "half a dimension",
        "fit plain.toml --data good.csv --set model.latent=[2.5]",
        "recipe: model.latent.0: should be a whole number, got 2.5",
    ),
    (
        "a level beyond any memory",
        "fit plain.toml --data good.csv --set model.latent=[10000000000000]",
        "10,000,000,000,000 weights and more need 37,253 GiB, more memory than this machine has",
    ),
    (
        "layers beyond any memory",
        "fit plain.toml --data good.csv --set model.network.hidden=[100000000] --set model.latent=[100000000]",
        "30,000,001,300,000,006 weights need 111,758,714 GiB, more memory than this machine has",
    ),
    (
        "a hidden layer of size 0",
        "fit plain.toml --data good.csv --set model.network.hidden=[0]",
        "recipe: model.network.hidden.0: should be greater than 0, got 0",
    ),
    (
        "a number for hidden layers",
        "fit plain.toml --data good.csv --set model.network.hidden=64",
        "recipe: model.network.hidden: should be a list in square brackets, got 64",
    ),
    (
        "an unknown activation",
        "fit plain.toml --data good.csv --set model.network.activation=rellu",
        "recipe: model.network.activation: should be 'relu', 'tanh', 'sigmoid', 'elu', 'gelu', 'silu', 'leaky_relu' or 'softplus', got 'rellu'",
    ),
    (
        "a bad initialisation",
        "fit plain.toml --data good.csv --set model.network.init=-1",
        "recipe: model.network.init: should be 'xavier' or greater than 0, got -1",
    ),
    (
        "a convolution on a table",
        "fit plain.toml --data good.csv --set 'model.network={type=\"Conv\"}'",
        "Conv needs images (channels, height, width), got an event of shape (3,); use MLP for vectors",
    ),
    (
        "a stride beyond the kernel",
        f"fit aevb-mnist {GREYS} --data grey.npy --set 'model.network={{type=\"Conv\", kernel_size=1}}'",
        "recipe: model.network: stride must be at most kernel_size, 1, got 2",
    ),
    (
        "no channels",
        f"fit aevb-mnist {GREYS} --data grey.npy --set 'model.network={{type=\"Conv\", channels=[]}}'",
        "recipe: model.network.channels: should have 1 or more entries, got 0",
    ),
    (
        "a posterior without a density",
        "fit plain.toml --data good.csv --set model.posterior=Delta",
        "recipe: a Delta posterior has no bound: the objective must be Reconstruction, got Elbo",
    ),
    (
        "a posterior without gradients",
        "fit plain.toml --data good.csv --set model.posterior=Bernoulli",
        "recipe: model: posterior must have draws with gradients (Normal, Delta), got Bernoulli",
    ),
    (
        "a prior that sees the examples, for images",
        "fit digits --set model.prior=Composite",
        "model.prior Composite sees the examples: with it the bound is none on log p(x), and says nothing of what sample draws; it is for recipes on interactions (recvae). For images and tables set model.prior to one that does not, such as StandardNormal or Mixture",
    ),
    (
        "a likelihood without a density",
        "fit plain.toml --data good.csv --set model.likelihood=Delta",
        "recipe: model: likelihood must have a density; Delta has none",
    ),
    (
        "a variance of 0",
        "fit plain.toml --data good.csv --set model.likelihood.variance=0",
        "recipe: model.likelihood: variance must be 'learned', 'shared' or a number above 0, got 0",
    ),
    (
        "a word for a variance",
        "fit plain.toml --data good.csv --set model.likelihood.variance=x",
        "recipe: model.likelihood.variance: should be 'learned' or 'shared' or a number, got 'x'",
    ),
    (
        "a key of another family",
        "fit plain.toml --data good.csv --set model.likelihood.levels=3",
        "recipe: model.likelihood: unknown key 'levels'; allowed: variance, mean",
    ),
    (
        "a tied decoder of two parameters",
        "fit plain.toml --data good.csv --set model.decoder_network=tied",
        "a tied decoder gives one parameter for each element, but Normal needs more",
    ),
    (
        "a mean that the decoder cannot start at",
        "fit plain.toml --data good.csv --set model.output_bias=data",
        "model.output_bias='data' is not for Normal with this network; allowed: MLP",
    ),
    (
        "one noise that is no list",
        "fit plain.toml --data good.csv --set model.noise=Dropout",
        "recipe: model.noise: should be a list in square brackets, got 'Dropout'",
    ),
    (
        "a dropout of 2",
        "fit plain.toml --data good.csv --set 'model.noise=[{type=\"Dropout\", probability=2}]'",
        "recipe: model.noise.0.probability: should be less than 1, got 2",
    ),
    (
        "a binarised table",
        "fit plain.toml --data good.csv --set 'model.noise=[\"Binarize\"]'",
        "model.noise does not fit HERE/good.csv: Binarize needs values in [0, 1], got [-2.16183, 2.13621]",
    ),
    (
        "a negative beta",
        "fit plain.toml --data good.csv --set objective.beta=-1",
        "recipe: objective: beta must be 0 or more, got -1",
    ),
    (
        "a beta that starts below 0",
        "fit plain.toml --data good.csv --set 'objective.beta={type=\"Linear\", start=-1.0}'",
        "recipe: objective: beta must be 0 or more, got -1 at one end of Linear",
    ),
    (
        "free bits that end below 0",
        "fit plain.toml --data good.csv --set 'objective.free_bits={type=\"Linear\", start=2.0, stop=-2.0}'",
        "recipe: objective: free_bits must be 0 or more, got -2 at one end of Linear",
    ),
    (
        "NaN for beta",
        "fit plain.toml --data good.csv --set objective.beta=nan",
        "recipe: objective.beta: should be a finite number or the name or the table of a schedule, got nan",
    ),
    (
        "a word for beta",
        "fit plain.toml --data good.csv --set objective.beta=big",
        "recipe: objective.beta: should be a number, got 'big'; objective.beta: unknown schedule 'big'; allowed: Constant, Linear, Cosine, LinearDecay, OneCycle, Stages",
    ),
    (
        "a schedule with a wrong key",
        "fit plain.toml --data good.csv --set 'objective.beta={type=\"Linear\", stopp=3}'",
        "recipe: objective.beta: unknown key 'stopp'; did you mean 'stop'? Allowed: start, stop, steps",
    ),
    (
        "negative free bits",
        "fit plain.toml --data good.csv --set objective.free_bits=-1",
        "recipe: objective.free_bits: should be greater than or equal to 0 or the name or the table of a schedule, got -1",
    ),
    (
        "an average that never forgets",
        "fit plain.toml --data good.csv --set training.ema=1.0",
        "recipe: training.ema: should be less than 1, got 1.0",
    ),
    (
        "a threshold of nothing",
        "fit plain.toml --data good.csv --set training.skip_above=0",
        "recipe: training.skip_above: should be greater than 0, got 0",
    ),
    (
        "no parts of a batch",
        "fit plain.toml --data good.csv --set training.accumulate=0",
        "recipe: training.accumulate: should be greater than 0, got 0",
    ),
    (
        "parts of a compiled model",
        "fit plain.toml --data good.csv --set training.accumulate=2 --set training.compile=true",
        "recipe: training: accumulate=2 is for models as they are, got compile=True; allowed: false, 'auto'",
    ),
    (
        "blocks of a network that has none",
        "fit plain.toml --data good.csv --set training.recompute=true",
        "training.recompute is for networks of blocks, such as ResNet and ladders, and this model has none; set it to false",
    ),
    (
        "free bits by an unknown schedule",
        "fit plain.toml --data good.csv --set objective.free_bits=Liner",
        "recipe: objective.free_bits: should be a number, got 'Liner'; objective.free_bits: unknown schedule 'Liner'; did you mean 'Linear'? Allowed: Constant, Linear, Cosine, LinearDecay, OneCycle, Stages",
    ),
    (
        "an unknown estimate of the rate",
        "fit plain.toml --data good.csv --set objective.kl=wrong",
        "recipe: objective.kl: should be 'valid', 'sampled' or 'everywhere', got 'wrong'",
    ),
    (
        "interactions' objective on a table",
        "fit plain.toml --data good.csv --set objective.per_entry=true",
        "objective.per_entry is for interactions; these examples are dense",
    ),
    (
        "Bernoulli on real numbers",
        "fit plain.toml --data good.csv --set model.likelihood=Bernoulli",
        "model.likelihood does not fit HERE/good.csv: Bernoulli needs values in [0, 1], got [-2.16183, 2.13621]; Normal takes any real numbers",
    ),
    (
        "Bernoulli on pixels beyond 1",
        "fit aevb-mnist --set data.binarize=none --set data.validation=2 --data beyond.npy",
        "model.likelihood does not fit HERE/beyond.npy: Bernoulli needs values in [0, 1], got [0, 5]; divide by the value of white (here 5 or more) for pixels in [0, 1]; Normal takes any real numbers",
    ),
    (
        "DiscretizedLogistic on real numbers",
        "fit plain.toml --data good.csv --set model.likelihood=DiscretizedLogistic",
        "model.likelihood does not fit HERE/good.csv: DiscretizedLogistic(levels=256) needs values on a grid of 256 levels, got real numbers; set model.likelihood=Normal",
    ),
    (
        "DiscretizedLogistic on other levels",
        f"fit aevb-mnist {GREYS} --data grey.npy --set 'model.likelihood={{type=\"DiscretizedLogistic\", levels=17}}'",
        "model.likelihood does not fit HERE/grey.npy: DiscretizedLogistic(levels=17) needs values on a grid of 17 levels, got 256 levels; set model.likelihood.levels=256",
    ),
    (
        "MixtureLogistic on other levels",
        f"fit aevb-mnist {GREYS} --data grey.npy --set 'model.likelihood={{type=\"MixtureLogistic\", levels=17}}'",
        "model.likelihood does not fit HERE/grey.npy: MixtureLogistic(levels=17) needs values on a grid of 17 levels, got 256 levels; set model.likelihood.levels=256",
    ),
    (
        "MixtureLogistic as posterior",
        "fit aevb-mnist --set model.posterior=MixtureLogistic",
        "recipe: model: posterior must have draws with gradients (Normal, Delta), got MixtureLogistic",
    ),
    (
        "MixtureLogistic and a tied decoder",
        f"fit aevb-mnist {GREYS} --data grey.npy --set model.likelihood=MixtureLogistic --set model.decoder_network=tied",
        "a tied decoder gives one parameter for each element, but MixtureLogistic needs more",
    ),
    (
        "MixtureLogistic of no components",
        "fit aevb-mnist --set 'model.likelihood={type=\"MixtureLogistic\", components=0}'",
        "recipe: model.likelihood.components: should be greater than 0, got 0",
    ),
    (
        "Multinomial below 0",
        "fit plain.toml --data good.csv --set model.likelihood=Multinomial",
        "model.likelihood does not fit HERE/good.csv: Multinomial needs counts or weights of 0 or more, got [-2.16183, 2.13621]",
    ),
    (
        "a likelihood that has no sparse rows",
        "fit multvae --data plays.csv --set model.likelihood=Normal",
        "Normal with these settings has no likelihood for sparse rows; allowed: Multinomial, Bernoulli, Normal with a variance that is a number or 'shared' and the mean 'identity'",
    ),
    (
        "a network that takes no sparse rows",
        "fit multvae --data plays.csv --set 'model.network={type=\"Conv\"}'",
        "Conv does not take sparse rows; allowed: MLP, DenseMLP",
    ),
    (
        "a missing file",
        "fit plain.toml --data nowhere.csv",
        f"there is no file or folder 'nowhere.csv'; allowed: a path, or one of {SETS}",
    ),
    (
        "a misspelt data set",
        "fit digits --data mnits",
        f"unknown data source 'mnits'; did you mean 'mnist'? Allowed: {SETS}, or a path to a file or folder",
    ),
    (
        "an unknown kind of file",
        "fit plain.toml --data thing.xyz",
        f"HERE/thing.xyz is of no known kind; allowed: {KINDS}",
    ),
    (
        "an empty folder",
        "fit plain.toml --data empty",
        f"HERE/empty holds no images; allowed: {PICTURES}",
    ),
    (
        "a folder of texts",
        "fit plain.toml --data notes",
        f"HERE/notes holds no images; files that are no images and passed over: 1 (a.txt); allowed: {PICTURES}",
    ),
    (
        "images of different sizes",
        f"fit aevb-mnist {GREYS} --data sizes",
        "images differ in size: HERE/sizes/a.png is 4x5, HERE/sizes/b.png is 5x5 (height x width); resize them with --set data.size=4x5",
    ),
    (
        "a broken image",
        f"fit aevb-mnist {GREYS} --data broken",
        "HERE/broken/a.png cannot be used as an image: cannot identify it as an image",
    ),
    (
        "several broken images",
        f"fit aevb-mnist {GREYS} --data two",
        "2 of the 2 image files of HERE/two cannot be used: a.png (cannot identify it as an image), b.png (cannot identify it as an image); mend or remove them, or pass over them with data.skip_broken=true",
    ),
    (
        "images of too many pixels",
        f"fit aevb-mnist {GREYS} --data sizes --set data.max_pixels=24",
        "1 of the 2 image files of HERE/sizes cannot be used: b.png (it has 5x5 = 25 pixels; allowed: data.max_pixels=24, which can be raised); mend or remove them, or pass over them with data.skip_broken=true",
    ),
    (
        "a file of labels that is not there",
        f"fit aevb-mnist {GREYS} --data points --set data.labels=gone.csv",
        "there is no file of labels 'gone.csv', nor in HERE/points; data.labels is the path of a .csv with a column of files and one of labels",
    ),
    (
        "nan in a CSV",
        "fit plain.toml --data nan.csv --set data.kinds=none",
        "HERE/nan.csv has values that are missing, NaN, infinite or beyond float32 in 'b' (2 of 4 rows, first in row 3), 'c' (1 of 4 rows, first in row 1); data.kinds={} takes them for gaps (with model.likelihood.type=Columns, as in the recipe table), or fill or drop them, or leave the column out through data.exclude",
    ),
    (
        "a line with more fields than names",
        "fit plain.toml --data ragged.csv",
        "line 4 of ragged.csv has 4 fields, its header 3 (parted by ','); set data.separator if it is another",
    ),
    (
        "an interaction of too many fields",
        "fit multvae --data raggedplays.tsv",
        "line 3 of raggedplays.tsv has 3 fields, its header 2 (parted by '\\t'); set data.separator if it is another",
    ),
    (
        "a name twice in a header",
        "fit plain.toml --data twice.csv",
        "HERE/twice.csv has the column 'a' more than once; allowed: each name once",
    ),
    (
        "a column of users twice",
        "fit multvae --data twoplays.csv",
        "HERE/twoplays.csv has the column 'user' more than once; allowed: each name once",
    ),
    (
        "a user of two kilobytes",
        "fit multvae --data longplays.csv",
        "HERE/longplays.csv has a user of 2000 bytes; allowed: 1024",
    ),
    (
        "a text as an array",
        "fit plain.toml --data text.npy",
        "HERE/text.npy is no .npy file: it begins as a text, as a .csv file is",
    ),
    (
        "an archive as an array",
        "fit plain.toml --data archive.npy",
        "HERE/archive.npy is no .npy file: it begins as a zip archive, as a .npz file is",
    ),
    (
        "an array as an archive",
        "fit plain.toml --data array.npz",
        "HERE/array.npz is no .npz file: it begins as a .npy file",
    ),
    (
        "an empty CSV",
        "fit plain.toml --data empty.csv",
        "HERE/empty.csv is empty; allowed: a line of names, and a line for each row",
    ),
    (
        "nothing but a header",
        "fit plain.toml --data header.csv",
        "HERE/header.csv holds no examples: its array has the shape (0, 3)",
    ),
    (
        "text in a column",
        "fit plain.toml --data text.csv --set data.kinds=none",
        "HERE/text.csv has columns that are not numbers: 'c' ('x' in row 1); data.kinds={} reads columns of all kinds (with model.likelihood.type=Columns, as in the recipe table), or leave them out through data.exclude",
    ),
    (
        "a missing value",
        "fit plain.toml --data missing.csv --set data.kinds=none",
        "HERE/missing.csv has values that are missing, NaN, infinite or beyond float32 in 'a' (1 of 4 rows, first in row 2); data.kinds={} takes them for gaps (with model.likelihood.type=Columns, as in the recipe table), or fill or drop them, or leave the column out through data.exclude",
    ),
    (
        "one row",
        "fit plain.toml --data row.csv",
        "HERE/row.csv: one value only in the training split's column 'a', 'b', 'c'; leave it out through data.exclude",
    ),
    (
        "no validation examples for patience",
        "fit plain.toml --data rows.csv",
        "rows has no validation split, for data.validation gave it no examples, and the recipe needs one; set training.patience=none, or raise data.validation",
    ),
    (
        "a column that is not there",
        'fit plain.toml --data good.csv --set \'data.columns=["a","z"]\'',
        "unknown column 'z' in HERE/good.csv (data.columns); allowed: a, b, c",
    ),
    (
        "two columns that are not there",
        'fit plain.toml --data good.csv --set \'data.columns=["a","y","z"]\'',
        "unknown column 'y', nor 'z', in HERE/good.csv (data.columns); allowed: a, b, c",
    ),
    (
        "a pattern that matches no column",
        'fit plain.toml --data good.csv --set \'data.exclude=["a","note_*"]\'',
        "unknown column 'note_*' in HERE/good.csv (data.exclude); allowed: a, b, c",
    ),
    (
        "all columns left out",
        "fit plain.toml --data good.csv --set 'data.exclude=[\"*\"]'",
        "HERE/good.csv has no columns of values left; it has 'a', 'b', 'c': see data.exclude, data.ids and data.labels",
    ),
    (
        "an id that is not there",
        "fit plain.toml --data good.csv --set 'data.ids=[\"name\"]'",
        "unknown column 'name' in HERE/good.csv (data.ids); allowed: a, b, c",
    ),
    (
        "labels that are not there",
        "fit plain.toml --data good.csv --set data.labels=y",
        "unknown column 'y' in HERE/good.csv (data.labels); allowed: a, b, c",
    ),
    (
        "a column as a value and as an id",
        'fit plain.toml --data good.csv --set \'data.ids=["a"]\' --set \'data.columns=["a","b"]\'',
        "data.columns names 'a', which data.ids or data.labels names too; allowed: one use of a column",
    ),
    (
        "a column that is both asked for and left out",
        'fit plain.toml --data good.csv --set \'data.exclude=["a"]\' --set \'data.columns=["a","b"]\'',
        "data.columns names 'a', which data.exclude leaves out",
    ),
    (
        "a separator that is in no line",
        "fit plain.toml --data good.csv --set 'data.separator=\";\"'",
        "HERE/good.csv has no ';' in its first line ('a,b,c'), by which data.separator parts its fields; allowed: what stands between them",
    ),
    (
        "an unknown encoding",
        "fit plain.toml --data good.csv --set data.encoding=utf-99",
        "data.encoding=utf-99 is no encoding of this text; allowed: those of Python, such as utf-8, utf-16, latin-1 or cp1252",
    ),
    (
        "signs of a currency",
        "fit plain.toml --data money.csv --set data.kinds=none",
        "HERE/money.csv has columns that are not numbers: 'a' ('$1' in row 1); currency signs, percent signs and units are not read: write plain numbers; data.kinds={} reads columns of all kinds (with model.likelihood.type=Columns, as in the recipe table), or leave them out through data.exclude",
    ),
    (
        "points between thousands",
        "fit plain.toml --data thousands.csv --set data.kinds=none --set 'data.decimal=\",\"'",
        "HERE/thousands.csv has columns that are not numbers: 'a' ('1.234,5' in row 1); marks between thousands are not read: write plain numbers; data.kinds={} reads columns of all kinds (with model.likelihood.type=Columns, as in the recipe table), or leave them out through data.exclude",
    ),
    (
        "a comma that may be a decimal mark",
        "fit plain.toml --data comma.csv --set data.kinds=none",
        "HERE/comma.csv has columns that are not numbers: 'a' ('1,5' in row 1); if the comma is a decimal mark set data.decimal=',', else write plain numbers; data.kinds={} reads columns of all kinds (with model.likelihood.type=Columns, as in the recipe table), or leave them out through data.exclude",
    ),
    (
        "dashes for missing values",
        "fit plain.toml --data dashes.csv --set data.kinds=none",
        "HERE/dashes.csv has values that are missing, NaN, infinite or beyond float32 in 'b' (2 of 3 rows, first in row 1); data.kinds={} takes them for gaps (with model.likelihood.type=Columns, as in the recipe table), or fill or drop them, or leave the column out through data.exclude",
    ),
    (
        "no columns",
        "fit plain.toml --data good.csv --set data.columns=[]",
        "recipe: data.columns: [] is no choice of columns; allowed: one or more names, each once",
    ),
    (
        "a column twice",
        'fit plain.toml --data good.csv --set \'data.columns=["a","a"]\'',
        "recipe: data.columns: ['a', 'a'] is no choice of columns; allowed: one or more names, each once",
    ),
    (
        "one column that is no list",
        "fit plain.toml --data good.csv --set data.columns=a",
        "recipe: data.columns: should be a list in square brackets, got 'a'",
    ),
    (
        "an empty .npy",
        f"fit aevb-mnist {GREYS} --data empty.npy",
        "HERE/empty.npy cannot be read as an array of numbers: No data left in file",
    ),
    (
        "half an .npy",
        f"fit aevb-mnist {GREYS} --data half.npy",
        "HERE/half.npy cannot be read as an array of numbers: mmap length is greater than file size",
    ),
    (
        "NaN in an .npy",
        f"fit aevb-mnist {GREYS} --data nan.npy",
        "HERE/nan.npy holds 1 values that are NaN, infinite or too large for float32; first at (3, 1)",
    ),
    (
        "infinity in an .npy",
        f"fit aevb-mnist {GREYS} --data inf.npy",
        "HERE/inf.npy holds 1 values that are NaN, infinite or too large for float32; first at (0, 0)",
    ),
    (
        "complex numbers",
        f"fit aevb-mnist {GREYS} --data complex.npy",
        "HERE/complex.npy holds values of type complex128; allowed: bool, whole numbers, real numbers",
    ),
    (
        "strings in an .npy",
        f"fit aevb-mnist {GREYS} --data string.npy",
        "HERE/string.npy holds values of type <U1; allowed: bool, whole numbers, real numbers",
    ),
    (
        "objects in an .npy",
        f"fit aevb-mnist {GREYS} --data object.npy",
        "HERE/object.npy cannot be read as an array of numbers: Array can't be memory-mapped: Python objects in dtype.",
    ),
    (
        "no examples",
        f"fit aevb-mnist {GREYS} --data none.npy",
        "HERE/none.npy holds no examples: its array has the shape (0, 1, 6, 6)",
    ),
    (
        "five axes",
        f"fit aevb-mnist {GREYS} --data axes.npy",
        "HERE/axes.npy has 5 axes, shape (2, 2, 2, 2, 2); allowed: 2 (vectors), 3 or 4 (images)",
    ),
    (
        "one axis",
        f"fit aevb-mnist {GREYS} --data flat.npy",
        "HERE/flat.npy has 1 axes, shape (9,); allowed: 2 (vectors), 3 or 4 (images)",
    ),
    (
        "seven channels",
        f"fit aevb-mnist {GREYS} --data channels.npy",
        "HERE/channels.npy has the shape (4, 5, 6, 7); allowed: (N, H, W), (N, H, W, C), (N, C, H, W) with C = 1, 3 or 4",
    ),
    (
        "labels of another number",
        f"fit aevb-mnist {GREYS} --data labels.npz",
        "HERE/labels.npz has labels of shape (4,) as 'labels'; allowed: (12,), one an example",
    ),
    (
        "an unknown key in an .npz",
        f"fit aevb-mnist {GREYS} --data keys.npz",
        "HERE/keys.npz holds foo (12, 6, 6), bar (12, 6, 6); allowed: the examples as one of images, data, x, values, arr_0, or as train and test (x_train, train_images, ...), and labels (y, y_train, ...); or one array alone",
    ),
    (
        "parts of different sizes",
        f"fit aevb-mnist {GREYS} --data parts.npz",
        "HERE/parts.npz: train is uint8 (12, 6, 6), test is uint8 (12, 4, 6)",
    ),
    (
        "one example for three splits",
        f"fit aevb-mnist {GREYS} --data one.npy",
        "HERE/one.npy has 1 training examples; data.validation=2 and data.test=0.1 would leave none: at most 0 can be cut off",
    ),
    (
        "validation and test of all",
        "fit plain.toml --data good.csv --set data.validation=10 --set data.test=10",
        "HERE/good.csv has 20 training examples; data.validation=10 and data.test=10 would leave none: at most 19 can be cut off",
    ),
    (
        "fractions beyond all",
        "fit plain.toml --data good.csv --set data.validation=0.6 --set data.test=0.6",
        "HERE/good.csv has 20 training examples; data.validation=0.6 and data.test=0.6 would leave none: at most 19 can be cut off",
    ),
    (
        "one example and a half",
        "fit plain.toml --data good.csv --set data.validation=1.5",
        "recipe: data.validation: 1.5 examples; allowed: a fraction below 1, or a whole number",
    ),
    (
        "a negative split",
        "fit plain.toml --data good.csv --set data.validation=-1",
        "recipe: data.validation: should be greater than or equal to 0, got -1",
    ),
    (
        "a number for a size",
        f"fit aevb-mnist {GREYS} --data grey.npy --set data.size=64",
        "recipe: data.size: should be text, got 64",
    ),
    (
        "half a size",
        f"fit aevb-mnist {GREYS} --data grey.npy --set data.size=64x",
        "recipe: data.size: '64x' is no size; allowed: HEIGHTxWIDTH, such as 64x64, or auto",
    ),
    (
        "a size for a table",
        "fit plain.toml --data good.csv --set data.size=8x8",
        "data.size is for sources of kind image; HERE/good.csv is of kind table; leave the option out, or take the recipe that lowerbound describe names",
    ),
    (
        "grey for a table",
        "fit plain.toml --data good.csv --set data.grey=true",
        "data.grey is for sources of kind image; HERE/good.csv is of kind table; leave the option out, or take the recipe that lowerbound describe names",
    ),
    (
        "a binarised table of real numbers",
        "fit plain.toml --data good.csv --set data.binarize=static",
        "data.binarize=static needs values in [0, 1]; HERE/good.csv is standardised",
    ),
    (
        "binarised pixels beyond 1",
        "fit aevb-mnist --set data.validation=2 --data beyond.npy",
        "model.likelihood does not fit HERE/beyond.npy: Bernoulli needs values in [0, 1], got [0, 5]; divide by the value of white (here 5 or more) for pixels in [0, 1]; Normal takes any real numbers",
    ),
    (
        "patience without validation",
        "fit plain.toml --data good.csv --set data.validation=0",
        "good has no validation split, for data.validation gave it no examples, and the recipe needs one; set training.patience=none, or raise data.validation",
    ),
    (
        "interactions without users",
        "fit multvae --data good.csv",
        "HERE/good.csv has no column of users and no column of items; name what is there by data.interactions.user=COLUMN, data.interactions.item=COLUMN (its columns: a, b, c); if its first line is no header, set data.header=false",
    ),
    (
        "interactions without items",
        "fit multvae --data noitem.csv",
        "HERE/noitem.csv has no column of items; name what is there by data.interactions.item=COLUMN (its columns: user, stars); if its first line is no header, set data.header=false",
    ),
    (
        "no interactions",
        "fit multvae --data nothing.csv",
        "HERE/nothing.csv holds no interactions that are kept: it is empty",
    ),
    (
        "an array for interactions",
        "fit multvae --data grey.npy",
        "HERE/grey.npy is no file of interactions; allowed: .csv, .tsv, .txt, .dat, .data, .tab, .jsonl, .ndjson, .json (also with .gz, .zst), .parquet, .feather, .arrow, .ipc, .npz, or a folder with files of one log, or with train and test",
    ),
    (
        "a NaN rating",
        "fit multvae --data badrating.csv",
        "HERE/badrating.csv has 1 ratings that are missing, negative, NaN or infinite; allowed: 0 and above, and below it what data.interactions.threshold drops",
    ),
    (
        "a rating in words",
        "fit multvae --data textrating.csv",
        "HERE/textrating.csv has ratings that are no numbers, such as 'good'; allowed: plain numbers; data.interactions.rating names another column, and data.missing words for a missing value",
    ),
    (
        "a threshold that leaves nothing",
        "fit multvae --data rated.csv --set data.interactions.threshold=100",
        "HERE/rated.csv holds no interactions that are kept: 30 read, 30 below threshold",
    ),
    (
        "too few items for every user",
        "fit multvae --data rated.csv --set data.interactions.min_user_items=100",
        "HERE/rated.csv holds no interactions that are kept: 30 read, 5 rare users",
    ),
    (
        "no times to split by",
        "fit multvae --data rated.csv --set data.interactions.split=temporal",
        "HERE/rated.csv has no column of times, which data.interactions.split=temporal needs; name what is there by data.interactions.timestamp=COLUMN (its columns: user, item, rating)",
    ),
    (
        "no parts to take",
        "fit multvae --data rated.csv --set data.interactions.split=given",
        "data.interactions.split='given' needs a source with train and test files; HERE/rated.csv is one log",
    ),
    (
        "an unknown split rule",
        "fit multvae --data rated.csv --set data.interactions.split=weak",
        "recipe: data.interactions.split: should be 'auto', 'given', 'strong', 'random', 'leave-one-out' or 'temporal', got 'weak'",
    ),
    (
        "everything folded in",
        "fit multvae --data rated.csv --set data.interactions.fold_in=1",
        "recipe: data.interactions.fold_in: should be less than 1, got 1",
    ),
    (
        "a number of interactions",
        "fit multvae --data rated.csv --set data.interactions.split=random --set data.validation=3",
        "data.validation=3 with the split 'random'; allowed: a fraction below 1 of the interactions",
    ),
    (
        "an unknown column of ratings",
        "fit multvae --data rated.csv --set data.interactions.rating=stars",
        "HERE/rated.csv has no column 'stars' of ratings; name what is there by data.interactions.rating=COLUMN (its columns: user, item, rating)",
    ),
    (
        "more users held out than there are",
        "fit multvae --data rated.csv --set data.validation=5",
        "HERE/rated.csv has 5 users; data.validation=5 and data.test=0.1 would leave none to train on: at most 4 can be held out",
    ),
    (
        "one user",
        "fit multvae --data oneuser.csv",
        "oneuser has no validation split, for data.validation gave it no users, or they have too few items to hold one out, and the recipe needs one; set training.monitor=objective, raise data.validation, or take another data.interactions.split",
    ),
    (
        "the last item without times",
        "fit multvae --data rated.csv --set data.interactions.split=leave-one-out",
        "HERE/rated.csv has no column of times, which data.interactions.split=leave-one-out needs; name what is there by data.interactions.timestamp=COLUMN (its columns: user, item, rating)",
    ),
    (
        "dates that may be read in two orders",
        "fit multvae --data usdates.csv --set data.interactions.split=leave-one-out",
        "HERE/usdates.csv: timestamps such as '03/12/2020' may be read day first or month first, and both fit all of them; say which: data.interactions.time_format=day-first, month-first, or a format such as '%m/%d/%Y'",
    ),
    (
        "years of two digits",
        "fit multvae --data shortdates.csv --set data.interactions.split=leave-one-out",
        "HERE/shortdates.csv: timestamps such as '03/12/20' are neither numbers nor dates as they are read: 2020-01-31, 2020-01-31T10:00:00+02:00, 1/31/2020 3:05 PM, 31.01.2020 10:00; other forms by data.interactions.time_format, such as '%d %b %y'",
    ),
    (
        "dates in another order than is said",
        "fit multvae --data usdates.csv --set data.interactions.split=temporal --set data.interactions.time_format=%Y-%m-%d",
        "HERE/usdates.csv: 3 timestamps, such as '03/12/2020', are not written as data.interactions.time_format='%Y-%m-%d' says",
    ),
    (
        "no form of times",
        "fit multvae --data usdates.csv --set data.interactions.time_format=american",
        "recipe: data.interactions.time_format: 'american' is no form of times; allowed: day-first, month-first, or a format such as '%m/%d/%Y'",
    ),
    (
        "a log without a header and too many columns",
        "fit multvae --data bareplays.txt",
        "HERE/bareplays.txt has no header and 5 columns; allowed without more words: 2 to 4 (user, item, rating, timestamp); name them by their numbers, such as data.interactions.user=1 and data.interactions.item=2, or all of them by data.columns; if its first line is a header, set data.header=true",
    ),
    (
        "users with one item each",
        "fit multvae --data lonely.csv",
        "nothing is held out to be found in the validation and the test split of lonely: its users have too few items for the split (strong: 5); set data.validation=0 and data.test=0 and training.monitor=objective, or another data.interactions.split",
    ),
    (
        "users with one item each, and patience",
        "fit multvae --data lonely.csv --set training.patience=3",
        "nothing is held out to be found in the validation and the test split of lonely: its users have too few items for the split (strong: 5); set data.validation=0 and data.test=0 and training.monitor=objective and training.patience=none, or another data.interactions.split",
    ),
    (
        "images as interactions",
        "fit multvae --data digits",
        "data.interactions is for sources of interactions; digits is none",
    ),
    (
        "binarised interactions",
        "fit multvae --data rated.csv --set data.binarize=static",
        "data.binarize is for images, vectors or tables; HERE/rated.csv is of kind interactions",
    ),
    (
        "no titles",
        "fit multvae --data rated.csv --set data.interactions.items=nowhere.csv",
        "data.interactions.items=nowhere.csv: there is no such file",
    ),
    (
        "out is a folder of something else",
        "fit plain.toml --data good.csv --out notes",
        "notes is not an empty folder; choose another --out",
    ),
    (
        "out is a file",
        "fit plain.toml --data good.csv --out file",
        "file is not an empty folder; choose another --out",
    ),
    (
        "out holds a run",
        "fit plain.toml --data good.csv --out image",
        "image holds a run already; --resume continues it; choose another --out",
    ),
    (
        "out below a file",
        "fit plain.toml --data good.csv --out file/run",
        "cannot write file/run: Not a directory",
    ),
    (
        "resume without a run",
        "fit plain.toml --data good.csv --out new --resume",
        "there is no run in new to resume",
    ),
    (
        "resume with other data",
        "fit plain.toml --data rows.csv --out table --resume --set model.network.hidden=[4] --set training.epochs=1 --set report.write=false --set training.accelerator=cpu --set model.latent=[2]",
        "HERE/rows.csv is not what table was fitted to: give the same data by --data (data= in Python), or choose another --out",
    ),
    (
        "resume with another recipe",
        "fit digits --out image --resume",
        "image is a run of another recipe, different in data.source, data.test, data.validation, model.likelihood, model.network, training.batch_size, training.learning_rate, training.optimizer, training.patience, training.schedule; choose another --out",
    ),
    (
        "evaluate an empty folder",
        "evaluate empty",
        "empty is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "evaluate nothing",
        "evaluate nowhere",
        "nowhere is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "evaluate a file",
        "evaluate good.csv",
        "good.csv is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "evaluate an unfinished run",
        "evaluate unfinished",
        "unfinished is not a fitted run: model.safetensors missing; it was not finished: go on with fit --resume",
    ),
    (
        "evaluate a run of another version",
        "evaluate later",
        "later: a run of format 1 is needed, got 99",
    ),
    (
        "evaluate damaged weights",
        "evaluate damaged",
        "cannot read damaged/model.safetensors: Error while deserializing header: header too large",
    ),
    (
        "evaluate another run's weights",
        "evaluate swapped",
        "swapped/model.safetensors does not fit the recipe and the data of its run: swapped/model.safetensors: not the weights of this model: decoder.network.2.bias is (6,), but the recipe needs (36,)",
    ),
    (
        "evaluate a damaged recipe",
        "evaluate badrecipe",
        "badrecipe/recipe.toml: model: unknown key 'size'; allowed: latent, network, decoder_network, level_network, posterior, likelihood, prior, level_prior, noise, heads, output_bias, start, ladder, conditional_prior",
    ),
    (
        "evaluate a damaged description",
        "evaluate notjson",
        "cannot read notjson/data.json: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    (
        "evaluate a recommender without items",
        "evaluate noitems",
        "noitems/items.parquet cannot be read as a catalogue of items: No such file or directory (os error 2): noitems/items.parquet",
    ),
    (
        "evaluate after the data went",
        "evaluate moved",
        "there is no file or folder 'FITTED/gone.npy', which moved was fitted to; --data SOURCE takes the same data from another place, or other data (data= in Python)",
    ),
    (
        "gaps and labels at once",
        "evaluate image --hide 0.2 --probe",
        "--hide and --probe are measures of their own; allowed: one of them at a time",
    ),
    ("no importance samples", "evaluate image --samples 0", "samples must be 1 or more, got 0"),
    (
        "no importance samples of users",
        "evaluate users --samples 0",
        "samples must be 1 or more, got 0",
    ),
    (
        "an unknown split",
        "evaluate image --split tset",
        "unknown split 'tset'; did you mean 'test'? Allowed: train, validation, test, all",
    ),
    (
        "a split that is not there",
        "evaluate table --data rows.csv --split validation",
        "rows has no validation split (data.validation gave it no examples); it has: train, all",
    ),
    (
        "smaller images",
        "evaluate image --data small.npy",
        "small.npy has examples of shape (1, 4, 4), the model was trained on (1, 6, 6); data.size=HxW and data.grey=true, when a run is fitted, change images",
    ),
    (
        "colour images",
        "evaluate image --data colour.npy",
        "colour.npy has examples of shape (3, 6, 6), the model was trained on (1, 6, 6); data.size=HxW and data.grey=true, when a run is fitted, change images",
    ),
    (
        "a table for images",
        "evaluate image --data good.csv",
        "good.csv is of kind table, the model was trained on kind image",
    ),
    (
        "vectors for images",
        "evaluate image --data real.npy",
        "real.npy is of kind vector, the model was trained on kind image",
    ),
    (
        "other levels",
        "evaluate image --data between.npy",
        "between.npy has real numbers, the model was trained on 256 levels; round 255 x and save whole numbers, for 256 levels",
    ),
    (
        "none of the columns of the run",
        "evaluate table --data plays.csv",
        "plays.csv lacks 3 of the 3 columns that the run was fitted on: 'a', 'b', 'c'; it has 'user', 'item'",
    ),
    (
        "images for a table",
        "evaluate table --data grey.npy",
        "grey.npy is of kind image, the model was trained on kind table",
    ),
    (
        "unknown items only",
        "evaluate users --data strange.csv",
        "strange.csv has no item that the model was trained on: its items are 'yyy', ... (2), the model's 'i0', ... (12)",
    ),
    (
        "nothing held out",
        "evaluate users --split train",
        "the train split holds nothing out to be found; to measure other data, give a folder with train and test files",
    ),
    ("score without out", "score image", "missing option '--out'; see lowerbound score --help"),
    (
        "score into a picture",
        "score image --out s.png",
        "--out s.png: the ending must be one of .csv, .parquet, got .png",
    ),
    (
        "score with no samples",
        "score image --out s.csv --samples 0",
        "samples must be 1 or more, got 0",
    ),
    (
        "a threshold that is no rate",
        "score image --out s.csv --threshold 5",
        "threshold is a rate of false alarms between 0 and 1, such as 0.01, got 5.0",
    ),
    (
        "a threshold of too few examples",
        "score image --out s.csv --threshold 0.1",
        "a false-alarm rate of 0.1 needs 9 held-out examples or more, got 2; the least rate of these is 0.33",
    ),
    (
        "a cut on no score",
        "score table --out s.csv --threshold 0.5 --by percentile",
        "unknown score 'percentile' for the cut (by); allowed: elbo, log_likelihood, typicality",
    ),
    (
        "a truth that the model reads",
        "score table --data rows.csv --out s.csv --truth b=1",
        "truth b=1: the model itself reads the column 'b'; leave it out of the fit through data.columns",
    ),
    (
        "a truth that is no column",
        "score table --data wide.csv --out s.csv --truth e",
        "wide.csv: columns that the run does not know are passed over: 'd'\nlowerbound: unknown column 'e' in wide.csv; allowed: a, b, c, d",
    ),
    (
        "a truth that images lack",
        "score image --out s.csv --truth label",
        "unknown column 'label' in FITTED/grey.npy as truth; allowed: none",
    ),
    (
        "a truth of many values",
        "score table --data wide.csv --out s.csv --truth d=7",
        "wide.csv: columns that the run does not know are passed over: 'd'\nlowerbound: truth d=7: no row has the value '7'; its values are '1.002', '2.346'",
    ),
    (
        "score users",
        "score users --out s.csv",
        "score is for images and tables; users is a run on interactions",
    ),
    (
        "score against a table",
        "score image --out s.csv --against table",
        "table reads a table of shape (3,) standardised by itself, image reads an image of shape (1, 6, 6) on 256 levels; the two must be alike",
    ),
    ("score below a file", "score image --out file/s.csv", "cannot write file/s.csv: File exists"),
    (
        "encode into text",
        "encode image --out z.txt",
        "--out z.txt: the ending must be one of .npy, .csv, .parquet, got .txt",
    ),
    (
        "encode without an ending",
        "encode image --out z",
        "--out z: the ending must be one of .npy, .csv, .parquet, got none",
    ),
    (
        "encode other columns",
        "encode table --data plays.csv --out z.npy",
        "plays.csv lacks 3 of the 3 columns that the run was fitted on: 'a', 'b', 'c'; it has 'user', 'item'",
    ),
    (
        "encode below a file",
        "encode image --out file/z.npy",
        "cannot write file/z.npy: File exists",
    ),
    (
        "sample into a GIF",
        "sample image --out s.gif",
        "--out s.gif: the ending must be one of .png, .npy, got .gif",
    ),
    (
        "no samples",
        "sample image -n 0 --out s.png",
        "the number of samples must be 1 or more, got 0",
    ),
    (
        "samples beyond any memory",
        "sample image -n 1000000000000000 --out s.npy",
        "1,000,000,000,000,000 samples need 134,110,451 GiB, more memory than this machine has",
    ),
    (
        "samples of users",
        "sample users --out s.csv",
        "samples are of images and tables; a run on interactions recommends: lowerbound recommend RUN",
    ),
    (
        "a picture of a table",
        "sample table --out s.png",
        "--out s.png: the ending must be one of .npy, .csv, .parquet, got .png",
    ),
    (
        "sample nothing",
        "sample nowhere --out s.png",
        "nowhere is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "sample below a file",
        "sample image --out file/s.png",
        "cannot write file/s.png: File exists",
    ),
    (
        "report nothing",
        "report empty",
        "empty is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "report on no examples",
        "report image --examples 0",
        "examples must be 1 or more, got 0",
    ),
    (
        "report a recommender on other data",
        "report users --data rated.csv",
        "the report of a run on interactions is of its own data; rated.csv holds others, which evaluate takes",
    ),
    ("compare one run", "compare image", "compare needs two runs or more, got 1"),
    (
        "compare a run with itself",
        "compare image image",
        "image is given twice; allowed: different runs",
    ),
    (
        "compare different data",
        "compare image table",
        "only runs of one kind of data can be compared, got image (image) and table (table)",
    ),
    (
        "compare with no run",
        "compare image empty",
        "empty is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "compare with no samples",
        "compare image twin --samples 0",
        "samples must be 1 or more, got 0",
    ),
    (
        "compare into a file",
        "compare image twin --out file",
        "file is not an empty folder, and holds no earlier comparison; choose another --out",
    ),
    (
        "recommend by nothing",
        "recommend users",
        "recommend needs one of --history, --user, --users, --similar; got none",
    ),
    ("a history without items", "recommend users --history", "--history needs one value or more"),
    (
        "an unknown item",
        "recommend users --history nothing --unknown error",
        "no item 'nothing' among the 12 of this run, neither by id nor by title",
    ),
    (
        "k 0",
        "recommend users --history i1 -k 0",
        "k must be a whole number from 1, got 0",
    ),
    (
        "a user who is not in the data",
        "recommend users --user nobody --data plays.csv",
        "no user 'nobody' among the 30 of plays.csv",
    ),
    (
        "a condition on a column that the items do not have",
        "recommend users --history i1 --where year>1990",
        "unknown column 'year' in where; allowed: item, popularity",
    ),
    (
        "a condition that reads a file",
        "recommend users --history i1 --where '1 IN (SELECT a FROM t)'",
        "where '1 IN (SELECT a FROM t)': SELECT is not allowed: there are no queries in it",
    ),
    (
        "a boost without a number",
        "recommend users --history i1 --boost i2",
        '--boost takes pairs, such as "year > 1990" 0.5; got i2',
    ),
    (
        "groups without a number",
        "recommend users --history i1 --per item",
        "at_most=N and per=COLUMN go together: at most N items of each group of the column",
    ),
    (
        "diversity beyond 1",
        "recommend users --history i1 --diversity 3",
        "diversity must be a number from 0 to 1, got 3.0",
    ),
    (
        "an unknown item that is an error",
        "recommend users --history i1 nothing --unknown error",
        "no item 'nothing' among the 12 of this run, neither by id nor by title",
    ),
    (
        "another rule for unknown items",
        "recommend users --history i1 --unknown ignore",
        "unknown must be one of leave-out, error, got 'ignore'",
    ),
    (
        "a list of items that is not there",
        "recommend users --history i1 --deny gone.txt",
        "gone.txt: there is no such file of items",
    ),
    (
        "k in words",
        "recommend users --history i1 -k two",
        "-k should be a whole number, got 'two'; see lowerbound recommend --help",
    ),
    (
        "nothing allowed",
        "recommend users --history i1 --allow empty.csv",
        "nothing may be recommended: allow and deny leave none of the items",
    ),
    (
        "nothing new",
        "recommend users --history i0 i1 i2 i3 i4 i5 i6 i7 i8 i9 i10 i11",
        "nothing is left to recommend: the history holds every item that may be recommended",
    ),
    ("users without out", "recommend users --users plays.csv", "--users needs --out FILE"),
    (
        "out without users",
        "recommend users --history i1 --out x.csv",
        "--out goes with --users and --user; what --history finds is printed",
    ),
    (
        "recommendations as .npy",
        "recommend users --users plays.csv --out x.npy",
        "--out x.npy: the ending must be one of .csv, .parquet, got .npy",
    ),
    (
        "two questions",
        "recommend users --history i1 --similar i2",
        "recommend needs one of --history, --user, --users, --similar; got --history and --similar",
    ),
    (
        "recommend images",
        "recommend image --history i1",
        "only a run on interactions recommends; this one was fitted to dense examples",
    ),
    (
        "a list that is no text",
        "recommend users --history i1 --deny grey.npy",
        "grey.npy cannot be read as a list of items: 'utf-8' codec can't decode byte 0x93 in position 0: invalid start byte",
    ),
    (
        "users of strange items",
        "recommend users --users strange.csv --out x.csv",
        "strange.csv has no item that the model was trained on: its items are 'yyy', ... (2), the model's 'i0', ... (12)",
    ),
]


def image(fitted):
    return lowerbound.load(fitted / "image")


def users(fitted):
    return lowerbound.Recommender.load(fitted / "users")


def table(**model):
    return Architecture(latent=(2,), **model)


SPARSE = SparseRows(torch.tensor([0, 1]), torch.tensor([3]), torch.ones(1), 36)

CALLS = [
    (
        "a batch of another shape",
        lambda f: image(f).model.terms(torch.zeros(2, 5)),
        ShapeError,
        "this model takes batches of shape (B, 1, 6, 6), got (2, 5)",
    ),
    (
        "one example that is no batch",
        lambda f: image(f).model.terms(torch.zeros(1, 6, 6)),
        ShapeError,
        "this model takes batches of shape (B, 1, 6, 6), got (1, 6, 6)",
    ),
    (
        "a batch of whole numbers",
        lambda f: image(f).model.terms(torch.zeros(2, 1, 6, 6, dtype=torch.uint8)),
        DataError,
        "this model takes batches of floating-point numbers, got torch.uint8",
    ),
    (
        "a batch of NumPy",
        lambda f: image(f).model.encode(np.zeros((2, 1, 6, 6), np.float32)),
        DataError,
        "this model takes batches as tensors or sparse rows, got ndarray",
    ),
    (
        "sparse rows for images",
        lambda f: Architecture(latent=(2,)).build((36,)).encode(SPARSE),
        DataError,
        "this model takes dense batches, got sparse rows",
    ),
    (
        "no draws",
        lambda f: image(f).model.terms(torch.zeros(2, 1, 6, 6), samples=0),
        ConfigError,
        "samples must be 1 or more, got 0",
    ),
    (
        "latents of another size",
        lambda f: image(f).model.decode(torch.zeros(2, 3)),
        ShapeError,
        "this model decodes latents of shape (..., 2), got (2, 3)",
    ),
    (
        "a number for latents",
        lambda f: image(f).model.decode(torch.tensor(1.0)),
        ShapeError,
        "this model decodes latents of shape (..., 2), got ()",
    ),
    (
        "latents of another size to a run",
        lambda f: image(f).decode(torch.zeros(2, 3)),
        ShapeError,
        "this model decodes latents of shape (..., 2), got (2, 3)",
    ),
    (
        "data of a type that nobody reads",
        lambda f: lowerbound.fit("table", data=5, progress=False),
        DataError,
        f"data of type int are not read; allowed: {ALLOWED}",
    ),
    (
        "arrays of several shapes",
        lambda f: image(f).encode([GREY[0], GREY[0, :4]]),
        DataError,
        "a list of arrays needs one shape, got (4, 6), (6, 6); resize them, or give a folder of files and data.size=HEIGHTxWIDTH",
    ),
    (
        "a list of files",
        lambda f: image(f).encode(["a.png", "b.png"]),
        DataError,
        "a list of texts is not read; of files, give the folder that holds them",
    ),
    (
        "one picture in colour in memory",
        lambda f: lowerbound.fit("images", data=np.zeros((30, 40, 3), np.uint8)),
        ShapeError,
        "the array of shape (30, 40, 3) may be one picture in colour or 30 grey ones: give the one as (1, 30, 40, 3), x[None] in Python, and grey ones as (30, 40, 3, 1)",
    ),
    (
        "pixels on other levels in memory",
        lambda f: image(f).encode(GREY * 2.5),
        DataError,
        "the array has real numbers, the model was trained on 256 levels; divide by the value of white (here 637.5 or more) for pixels in [0, 1]",
    ),
    (
        "pixels below black in memory",
        lambda f: image(f).reconstruct(torch.from_numpy(GREY / 127.5 - 1)),
        DataError,
        "the tensor has real numbers, the model was trained on 256 levels; round 255 (x + 1) / 2 and save whole numbers, for 256 levels, or take (x + 1) / 2 for pixels in [0, 1]",
    ),
    (
        "one image that is no batch in memory",
        lambda f: image(f).encode(GREY[0]),
        DataError,
        "the array is of kind vector, the model was trained on kind image; of one image its first axis must be 1",
    ),
    (
        "a tuple of three",
        lambda f: image(f).evaluate((GREY, GREY, GREY)),
        DataError,
        "a tuple is read as (x, y) or ((x_train, y_train), (x_test, y_test)) alone",
    ),
    (
        "masked values",
        lambda f: image(f).evaluate(np.ma.masked_less(GREY, 9)),
        DataError,
        "the array has masked values, which are missing; fill or drop them",
    ),
    (
        "units that there are not",
        lambda f: image(f).sample(2, units="levels"),
        ConfigError,
        "unknown units 'levels'; allowed: data, model",
    ),
    (
        "a ranking of images",
        lambda f: image(f).model.item_scores(torch.zeros(2, 1, 6, 6)),
        ConfigError,
        "only a model of interactions ranks items; this one was built for dense examples",
    ),
    (
        "no samples of a run",
        lambda f: image(f).sample(0),
        ConfigError,
        "the number of samples must be 1 or more, got 0",
    ),
    (
        "an unknown split of the data",
        lambda f: image(f).data().split("tests"),
        ConfigError,
        "unknown split 'tests'; did you mean 'test'? Allowed: train, validation, test, all",
    ),
    (
        "no importance samples in Python",
        lambda f: image(f).evaluate(samples=0),
        ConfigError,
        "samples must be 1 or more, got 0",
    ),
    (
        "no draws for the bound",
        lambda f: evaluation.bound(image(f).model, image(f).data().train, samples=0),
        ConfigError,
        "samples must be 1 or more, got 0",
    ),
    (
        "one draw for the latents",
        lambda f: evaluation.latent_statistics(image(f).model, image(f).data().train, samples=1),
        ConfigError,
        "samples must be 2 or more, got 1",
    ),
    (
        "a bound of no examples",
        lambda f: evaluation.bound(image(f).model, image(f).data().train.take(slice(0, 0))),
        DataError,
        "there are no examples to evaluate",
    ),
    (
        "no run",
        lambda f: lowerbound.load(f / "nowhere"),
        RunError,
        "FITTED/nowhere is not a fitted run: recipe.toml, data.json, model.safetensors missing",
    ),
    (
        "a model of nothing",
        lambda f: table().build(()),
        ConfigError,
        "the shape of an example must be positive numbers, got ()",
    ),
    (
        "a model of no pixels",
        lambda f: table().build((1, 0, 6)),
        ConfigError,
        "the shape of an example must be positive numbers, got (1, 0, 6)",
    ),
    (
        "a convolution on a vector",
        lambda f: table(network=Conv()).build((3,)),
        ShapeError,
        "Conv needs images (channels, height, width), got an event of shape (3,); use MLP for vectors",
    ),
    (
        "a tied convolution",
        lambda f: table(network=Conv(), decoder_network="tied").build((1, 6, 6)),
        ConfigError,
        "Conv cannot be tied; allowed: MLP",
    ),
    (
        "a convolution on sparse rows",
        lambda f: table(network=Conv()).build((3,), sparse=True),
        ConfigError,
        "Conv does not take sparse rows; allowed: MLP, DenseMLP",
    ),
    (
        "a negative beta in a recipe",
        lambda f: recipe.parse(
            {"data": {"source": "x"}, "objective": {"type": "Elbo", "beta": -1}}
        ),
        ConfigError,
        "recipe: objective: beta must be 0 or more, got -1",
    ),
    (
        "a negative beta in Python",
        lambda f: Elbo(beta=-1),
        ConfigError,
        "Elbo: beta must be 0 or more, got -1",
    ),
    (
        "no units in Python",
        lambda f: MLP(hidden=(0,)),
        ConfigError,
        "MLP: hidden.0: should be greater than 0, got 0",
    ),
    (
        "no units, by position",
        lambda f: MLP((3, 0)),
        ConfigError,
        "MLP: hidden.1: should be greater than 0, got 0",
    ),
    (
        "two wrong values in Python",
        lambda f: recipe.Training(epochs=0, batch_size="x"),
        ConfigError,
        "Training: epochs: should be greater than 0, got 0; batch_size: should be a whole number, got 'x'",
    ),
    (
        "true for epochs in Python",
        lambda f: recipe.Training(epochs=True),
        ConfigError,
        "Training: epochs: should be a whole number, got True",
    ),
    (
        "an unknown field in Python",
        lambda f: MLP(hiden=(3,)),
        ConfigError,
        "MLP: unknown key 'hiden'; did you mean 'hidden'? Allowed: hidden, activation, init, activate_code, linear_path",
    ),
    ("no source in Python", lambda f: data.Data(), ConfigError, "Data: source: is missing"),
    (
        "a wrong size in Python",
        lambda f: data.Data("digits", size="4"),
        ConfigError,
        "Data: size: '4' is no size; allowed: HEIGHTxWIDTH, such as 64x64, or auto",
    ),
    (
        "a model of no latents",
        lambda f: Architecture(latent=(0,), network="MLQ"),
        ConfigError,
        "Architecture: latent.0: should be greater than 0, got 0; network: unknown network 'MLQ'; did you mean 'MLP'? Allowed: Conv, DenseMLP, MLP, ResNet",
    ),
    (
        "a replaced value",
        lambda f: replace(MLP(), activation="reluu"),
        ConfigError,
        "MLP: activation: should be 'relu', 'tanh', 'sigmoid', 'elu', 'gelu', 'silu', 'leaky_relu' or 'softplus', got 'reluu'",
    ),
    (
        "a network for a posterior",
        lambda f: recipe.parse({"data": {"source": "x"}, "model": {"posterior": "MLP"}}),
        ConfigError,
        "recipe: model.posterior: unknown family 'MLP'; allowed: Normal, Bernoulli, Multinomial, ContinuousBernoulli, Delta, DiscretizedLogistic, MixtureLogistic, Columns, FlowPosterior",
    ),
    (
        "a network without a type",
        lambda f: recipe.parse({"data": {"source": "x"}, "model": {"network": {"hidden": [3]}}}),
        ConfigError,
        "recipe: model.network: a network needs a type; allowed: Conv, DenseMLP, MLP, ResNet",
    ),
    (
        "an unknown setting",
        lambda f: lowerbound.fit("digits", settings={"model.nope": 1}, progress=False),
        ConfigError,
        "recipe: model: unknown key 'nope'; did you mean 'noise'? Allowed: latent, network, decoder_network, level_network, posterior, likelihood, prior, level_prior, noise, heads, output_bias, start, ladder, conditional_prior",
    ),
    (
        "a setting of another type",
        lambda f: lowerbound.fit("digits", settings={"training.seed": "x"}, progress=False),
        ConfigError,
        "recipe: training.seed: should be a whole number, got 'x'",
    ),
    (
        "another recipe's name",
        lambda f: lowerbound.fit("digitz", progress=False),
        ConfigError,
        f"unknown recipe 'digitz'; did you mean 'digits'? Allowed: {RECIPES}, or the path of a TOML file",
    ),
    (
        "images that recommend",
        lambda f: lowerbound.Recommender.load(f / "image"),
        ConfigError,
        "only a run on interactions recommends; this one was fitted to dense examples",
    ),
    (
        "an empty history",
        lambda f: lowerbound.Recommender(users(f).run, nothing_known="nothing").recommend([]),
        DataError,
        "the history is empty: give one item or more",
    ),
    (
        "k as a fraction",
        lambda f: users(f).recommend(["i1"], k=2.5),
        ConfigError,
        "k must be a whole number from 1, got 2.5",
    ),
    (
        "histories of no users",
        lambda f: users(f).recommend_many({}),
        DataError,
        "there are no histories: there is nothing to recommend by",
    ),
    (
        "histories in a list",
        lambda f: users(f).recommend_many([["i1"]]),
        DataError,
        "histories are a SciPy matrix, a Polars or pandas frame of user and item, or a mapping of users to items; got list",
    ),
    (
        "a weight of a history below 0",
        lambda f: users(f).recommend({"i1": -1.0}),
        DataError,
        "weights of a history must be numbers above 0, got -1",
    ),
    (
        "like an unknown item",
        lambda f: users(f).similar("nothing"),
        DataError,
        "no item 'nothing' among the 12 of this run, neither by id nor by title",
    ),
]

WORKS = [
    (
        "a batch larger than the data",
        "fit plain.toml --data good.csv --set training.batch_size=5000",
    ),
    ("more latents than columns", "fit plain.toml --data good.csv --set model.latent=[50]"),
    ("no hidden layers", "fit plain.toml --data good.csv --set model.network.hidden=[]"),
    (
        "all but one example held out",
        "fit plain.toml --data good.csv --set data.validation=9 --set data.test=9",
    ),
    (
        "neither validation nor test",
        "fit plain.toml --data good.csv --set data.validation=0 --set data.test=0 --set training.patience=none",
    ),
    ("a seed of 63 bits", "fit plain.toml --data good.csv --seed 9223372036854775807"),
    (
        "one example",
        f"fit aevb-mnist {GREYS} --set data.validation=0 --set data.test=0 --set training.patience=none --data one.npy",
    ),
    ("images of one pixel", f"fit aevb-mnist {GREYS} --data dots.npy"),
    (
        "a convolution on one pixel",
        f"fit aevb-mnist {GREYS} --data points --set 'model.network={{type=\"Conv\"}}'",
    ),
    (
        "a kernel larger than the image",
        f"fit aevb-mnist {GREYS} --data grey.npy --set 'model.network={{type=\"Conv\", kernel_size=9}}'",
    ),
    (
        "more halvings than pixels",
        f"fit aevb-mnist {GREYS} --data grey.npy --set 'model.network={{type=\"ResNet\", channels=[2, 2, 2, 2, 2], blocks=1}}'",
    ),
    ("nothing but black", f"fit aevb-mnist {GREYS} --data black.npy"),
    (
        "images of different sizes, resized",
        f"fit aevb-mnist {GREYS} --set data.validation=0 --set training.patience=none --data sizes --set data.size=3x7",
    ),
    ("a column more than the run knows", "evaluate table --data wide.csv"),
    ("a column less than the run knows", "evaluate mixed --data narrow.csv"),
    ("words and gaps in a table", "fit table --data text.csv --set data.validation=1"),
    ("one row to measure", "evaluate table --data row.csv"),
    ("one importance sample", "evaluate image --samples 1"),
]


@pytest.mark.parametrize(("name", "command_line", "message"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_use_is_one_line_that_says_what_is_wrong(
    command, fitted, tmp_path, monkeypatch, name, command_line, message
):
    monkeypatch.chdir(tmp_path)
    words = prepared(command_line, tmp_path, fitted)
    before = contents(tmp_path)
    code, out, err = command(*words)
    assert (
        err.replace(str(tmp_path), "HERE").replace(str(fitted), "FITTED")
        == f"lowerbound: {message}\n"
    )
    assert code == 2
    assert out == ""
    assert contents(tmp_path) == before  # no run folder, no file, nothing half-written


@pytest.mark.parametrize(("name", "call", "kind", "message"), CALLS, ids=[row[0] for row in CALLS])
def test_wrong_use_in_python_is_one_line_too(
    fitted, tmp_path, monkeypatch, name, call, kind, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as raised:
        call(fitted)
    assert str(raised.value).replace(str(fitted), "FITTED") == message
    assert type(raised.value) is kind
    assert raised.value.exit_code == 2
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(("name", "command_line"), WORKS, ids=[row[0] for row in WORKS])
def test_odd_use_works(command, fitted, tmp_path, monkeypatch, name, command_line):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*prepared(command_line, tmp_path, fitted), "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert isinstance(
        found.get("elbo", found.get("train", {}).get("elbo")), float
    )  # what is not finite is null


def test_a_run_that_goes_wrong_by_itself_exits_with_1(command, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    breaks = "--set training.optimizer=SGD --set training.learning_rate=1e30 --set training.clip=none --set training.epochs=20"
    code, out, err = command(
        *prepared(f"fit plain.toml --data good.csv --out run {breaks}", tmp_path, fitted)
    )
    assert code == 1
    assert out == ""
    assert "lowerbound: the loss became" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_refusal_leaves_a_run_as_it_was_and_it_goes_on(command, fitted, tmp_path, monkeypatch):
    """What is refused for a run that is not finished does not end it: it can be resumed."""
    monkeypatch.chdir(tmp_path)
    make("stopped", tmp_path, fitted)
    kind, *words = shlex.split(FITTED["image"])
    source, rest = fitted / words[1], [*words[2:], *shlex.split(FAST)]
    go_on = ["fit", kind, "--data", source, *rest, "--out", "stopped", "--resume"]
    assert command(*go_on, "--seed", 7)[0] == 2
    assert command(*go_on)[0] == 0
    assert command("evaluate", "stopped", "--samples", 2)[0] == 0


def test_a_command_that_is_not_told_what_to_do_shows_its_help(command):
    code, out, err = command()
    assert code == 2
    assert "Usage" in out + err
    assert command("fit", "--help")[0] == 0


def test_each_mistake_is_in_the_tables_once():
    assert len(WRONG) + len(CALLS) > 200
    for column in zip(*[row[:2] for row in WRONG], strict=True):
        assert len(set(column)) == len(WRONG)
