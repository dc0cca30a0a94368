"""The loop: it improves the bound, goes on exactly, stops cleanly, and says what went wrong."""

import dataclasses
import math
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
import torch

from lowerbound.data import Data
from lowerbound.distributed.launch import make_fabric
from lowerbound.errors import ConfigError, Interrupted, NonFiniteError, RunError
from lowerbound.families import Delta
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.noise import Dropout
from lowerbound.objectives import Elbo, Iwae, Objective, Reconstruction
from lowerbound.recipe import Training, optimizers
from lowerbound.schedules import Cosine, Linear
from lowerbound.training import Fit, Follower, State, derive_seed, execution, make_optimizer
from lowerbound.training.checkpoint import load_checkpoint

SETTINGS = Training(epochs=3, batch_size=128, learning_rate=3e-3, accelerator="cpu")


@pytest.fixture(scope="module")
def digits():
    return Data("digits", binarize="dynamic", validation=200, test=200).open()


def make(digits, settings=SETTINGS, objective=None, architecture=None, **options):
    torch.manual_seed(settings.seed)
    architecture = architecture or Architecture(
        latent=(4,), network=MLP((32,)), noise=(Dropout(0.1),)
    )
    return Fit(
        architecture.build(digits.schema.shape), digits, objective or Elbo(), settings, **options
    )


def weights(fit):
    return torch.cat([p.detach().flatten() for p in fit.model.parameters()])


def test_the_bound_rises(digits):
    state = make(digits).run()
    elbo = [row["validation_elbo"] for row in state.history]
    assert elbo[-1] > elbo[0] + 5


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(digits):
    fits = [make(digits, dataclasses.replace(SETTINGS, epochs=1, seed=seed)) for seed in (1, 1, 2)]
    for fit in fits:
        fit.run()
    assert torch.equal(weights(fits[0]), weights(fits[1]))
    assert not torch.equal(weights(fits[0]), weights(fits[2]))


def test_training_does_not_depend_on_the_callers_random_stream(digits):
    a, b = make(digits), make(digits)
    a.run()
    torch.manual_seed(999)
    b.run()
    assert torch.equal(weights(a), weights(b))


def test_the_last_short_batch_counts_by_its_examples(digits):
    """One epoch at learning rate ~0: the mean of the metrics is the mean over examples, not over
    batches.
    """
    settings = dataclasses.replace(SETTINGS, epochs=1, batch_size=1000, learning_rate=1e-30)
    fit = make(digits, settings, Reconstruction())
    assert len(digits.train) % 1000 not in (0, 500)
    fit.run()
    row = fit.state.history[0]
    torch.manual_seed(0)
    sums, order = 0.0, fit.loader.order(0)
    for i in range(fit.loader.batches):
        index = order[i * 1000 : (i + 1) * 1000]
        number = derive_seed(0, 1, i, 0)
        x = digits.train.batch(index, number)
        torch.manual_seed(number)
        fit.model.train()
        sums += float(fit.model.terms(x).log_likelihood.sum().detach())
    assert row["train_log_likelihood_term"] == pytest.approx(sums / len(digits.train), rel=1e-6)


def test_resume_at_an_epoch_is_exact(digits, tmp_path):
    whole = make(digits)
    whole.run()
    first = make(digits, dataclasses.replace(SETTINGS, epochs=2), checkpoints=tmp_path)
    first.run()
    second = make(digits, SETTINGS, checkpoints=tmp_path)
    second.resume()
    second.run()
    assert second.state.history == whole.state.history
    assert torch.equal(weights(second), weights(whole))


def stop_at(fit, step, number=signal.SIGINT):
    """Sends a signal to this process as the step with this number ends."""
    ordinary = fit._step

    def stepping(order):
        ordinary(order)
        if fit.state.step == step:
            os.kill(os.getpid(), number)

    fit._step = stepping
    return fit


@pytest.mark.parametrize(
    "objective", [Elbo(beta=Linear(steps=30)), Iwae()], ids=["warm-up", "iwae"]
)
def test_an_interrupt_within_an_epoch_writes_a_checkpoint_that_goes_on_exactly(
    digits, tmp_path, objective
):
    settings = dataclasses.replace(SETTINGS, samples=2, schedule=Cosine())
    whole = make(digits, settings, objective)
    whole.run()
    fit = stop_at(make(digits, settings, objective, checkpoints=tmp_path), whole.loader.batches + 4)
    with pytest.raises(Interrupted, match="--resume") as caught:
        fit.run()
    assert caught.value.exit_code == 130
    torch.manual_seed(4)
    second = make(digits, settings, objective, checkpoints=tmp_path)
    second.resume()
    assert second.state.batch == 4
    second.run()
    assert second.state.history == whole.state.history
    assert torch.equal(weights(second), weights(whole))


def test_a_checkpoint_within_an_epoch_holds_the_sums_of_its_examples(digits, tmp_path):
    with pytest.raises(Interrupted):
        stop_at(make(digits, checkpoints=tmp_path), 3).run()
    groups, _ = load_checkpoint(tmp_path)
    sums = groups["sums"]["sums"].sum(0) + groups["sums"]["pending"].sum((0, 1))
    assert sums[-1] == 3 * SETTINGS.batch_size
    assert sums.isfinite().all()


def test_sigterm_exits_with_its_own_code_and_handlers_are_put_back(digits, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        stop_at(make(digits, checkpoints=tmp_path), 2, signal.SIGTERM).run()
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_best_weights_are_kept_and_patience_stops(digits):
    """A learning rate that grows until it destroys: the best epoch is not the last, and its weights
    come back.
    """
    rising = Linear(start=1.0, stop=2000.0, steps=60)
    settings = dataclasses.replace(SETTINGS, epochs=40, patience=2, schedule=rising, clip=1.0)
    fit = make(digits, settings)
    state = fit.run()
    values = [row["validation_objective"] for row in state.history]
    assert state.epoch == len(values) < 40
    assert state.best_epoch == 1 + values.index(min(values)) == state.epoch - 2
    assert fit._validate()["validation_objective"] == pytest.approx(min(values), rel=1e-6)


def test_the_best_epoch_is_judged_at_the_end_of_the_warm_up(digits):
    """While beta is near 0 the training objective looks better than it will; validation uses beta
    in the end.
    """
    fit = make(digits, dataclasses.replace(SETTINGS, epochs=1), Elbo(beta=Linear(steps=10**6)))
    row = fit.run().history[0]
    assert row["kl_weight"] < 1e-3
    assert row["validation_objective"] == pytest.approx(-row["validation_elbo"], rel=1e-5)


def test_annealing_counts_steps_over_epochs(digits):
    fit = make(digits, objective=Elbo(beta=Linear(steps=10**3)))
    history = fit.run().history
    assert [row["kl_weight"] for row in history] == pytest.approx(
        [(row["step"] - 1) / 1000 for row in history]
    )


def test_free_bits_that_fall_are_logged_and_validation_has_their_end(digits):
    """While they hold, the objective of the training is larger than minus its bound."""
    objective = Elbo(free_bits=Linear(start=40.0, stop=0.0, steps=30))
    history = make(digits, objective=objective).run().history
    assert [row["free_bits"] for row in history] == pytest.approx(
        [40 * max(0.0, 1 - (row["step"] - 1) / 30) for row in history]
    )
    assert history[0]["train_objective"] > 15 - history[0]["train_elbo"]
    for row in history:
        assert row["validation_objective"] == pytest.approx(-row["validation_elbo"], rel=1e-5)
    assert "free_bits" not in make(digits, objective=Elbo(free_bits=40.0)).run().history[0]


def test_without_validation_the_last_weights_are_kept():
    data = Data("digits", validation=0, test=0.5).open()
    fit = make(data, dataclasses.replace(SETTINGS, epochs=2))
    state = fit.run()
    assert state.best_epoch == 2
    assert "validation_elbo" not in state.history[0]


def test_patience_without_validation_is_refused():
    data = Data("digits", validation=0).open()
    with pytest.raises(ConfigError, match=r"set training\.patience=none"):
        make(data, dataclasses.replace(SETTINGS, patience=3))


class Breaking(Objective):
    """Becomes NaN at a step."""

    def __call__(self, terms, step=math.inf, total=1):
        return Elbo()(terms) * (math.nan if step == 13 else 1)


def test_a_loss_that_is_not_finite_stops_at_its_step(digits, tmp_path):
    with pytest.raises(NonFiniteError, match="nan at step 13") as caught:
        make(digits, objective=Breaking(), checkpoints=tmp_path).run()
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())  # the broken weights are not written


def test_a_term_that_is_not_finite_is_named(digits):
    fit = make(digits, dataclasses.replace(SETTINGS, optimizer="SGD", learning_rate=1e12))
    with pytest.raises(NonFiniteError, match=r"not finite: .*(log_likelihood_term|rate_1)"):
        fit.run()


def test_an_autoencoder_trains_although_its_rate_is_infinite(digits):
    architecture = Architecture(latent=(4,), network=MLP((32,)), posterior=Delta())
    history = make(digits, objective=Reconstruction(), architecture=architecture).run().history
    assert history[-1]["train_elbo"] == -math.inf
    assert (
        history[-1]["validation_log_likelihood_term"] > history[0]["validation_log_likelihood_term"]
    )


def test_clipping_bounds_the_step(digits):
    settings = dataclasses.replace(
        SETTINGS, epochs=1, batch_size=2000, optimizer="SGD", learning_rate=1.0, clip=1e-3
    )
    fit = make(digits, settings)
    before = weights(fit)
    fit.run()
    assert (weights(fit) - before).norm() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("name", optimizers())
def test_any_optimiser_of_torch_takes_a_step(digits, name):
    network = MLP((16,))
    settings = dataclasses.replace(SETTINGS, epochs=1, batch_size=2000, optimizer=name)
    if name == "Muon":  # it refuses all but matrices
        with pytest.raises(ConfigError, match="Muon"):
            make(digits, settings)
        return
    fit = make(digits, settings, architecture=Architecture(latent=(2,), network=network))
    before = weights(fit)
    fit.run()
    assert not torch.equal(weights(fit), before)


@pytest.mark.parametrize(
    "options", [{"foo": 1}, {"betas": (0.9,)}, {"foreach": True, "fused": True}]
)
def test_wrong_optimiser_options_are_one_line(options):
    settings = dataclasses.replace(SETTINGS, optimizer_options=options)
    with pytest.raises(ConfigError, match=r"training\.optimizer_options: Adam: "):
        make_optimizer(settings, MLP().encoder((4,), 2))


def test_an_option_against_the_fused_step_is_taken(digits):
    settings = dataclasses.replace(SETTINGS, optimizer_options={"foreach": True})
    assert not make_optimizer(settings, MLP().encoder((4,), 2)).param_groups[0]["fused"]


def test_more_processes_than_cores_are_refused():
    with pytest.raises(ConfigError, match=r"training\.devices: 5000 processes"):
        make_fabric(dataclasses.replace(SETTINGS, devices=5000))


def test_other_numbers_give_unrelated_seeds():
    seeds = {derive_seed(a, b) for a in range(20) for b in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_fresh_state_is_at_the_start():
    assert dataclasses.asdict(State())["step"] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning"
)  # torch's own, while it compiles
def test_a_compiled_model_trains_the_same_curve(digits):
    """The same random numbers and the same function: the curve is the same up to rounding."""
    if not shutil.which("g++"):
        pytest.skip("no g++ to compile with")
    settings = dataclasses.replace(SETTINGS, batch_size=700)
    plain, fast = (
        make(digits, dataclasses.replace(settings, compile=choice)).run().history
        for choice in (False, True)
    )
    assert fast[-1]["validation_elbo"] == pytest.approx(plain[-1]["validation_elbo"], abs=0.01)


class _FailsBackwards(torch.autograd.Function):
    """The identity, whose gradients the compiler cannot read."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradients):
        raise ImportError("cache/x.main.so: file too short")


def _fake_compile(model, **options):
    """Stands for `torch.compile` with a damaged cache: its forward pass is that of the model."""

    def compiled_model(*arguments):
        return model(*arguments).map(_FailsBackwards.apply)

    return compiled_model


def test_a_compiled_model_whose_gradients_fail_trains_as_it_is(digits, monkeypatch, capsys):
    plain = make(digits)
    plain.run()
    monkeypatch.setattr(execution, "COMPILED_STEPS", 0)
    monkeypatch.setattr(execution, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", _fake_compile)
    fast = make(digits)
    assert fast.weights.is_compiled
    fast.run()
    assert torch.equal(weights(plain), weights(fast))
    lines = [line for line in capsys.readouterr().err.splitlines() if "compiled" in line]
    assert len(lines) == 1
    assert "cannot be compiled here: cache/x.main.so: file too short; it is trained as" in lines[0]
    needed = make(digits, dataclasses.replace(SETTINGS, compile=True))
    with pytest.raises(ConfigError, match=r"training\.compile: .*file too short; if a file of"):
        needed.run()


def test_an_error_that_the_model_has_by_itself_is_no_error_of_the_compiler(
    digits, monkeypatch, capsys
):
    monkeypatch.setattr(execution, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", lambda model, **options: model.__call__)
    fit = make(digits, dataclasses.replace(SETTINGS, compile=True))

    def fail(*arguments):
        raise ValueError("my own layer")

    monkeypatch.setattr(fit.model, "terms", fail)
    with pytest.raises(ValueError, match="my own layer"):
        fit.run()
    assert "compiled" not in capsys.readouterr().err


COMPILED_FIT = """
import warnings
from lowerbound.data import Data
from lowerbound.model import Architecture
from lowerbound.networks import MLP
from lowerbound.objectives import Elbo
from lowerbound.recipe import Training
from lowerbound.training import Fit, execution

warnings.simplefilter("ignore")  # torch's own, while it compiles
execution.COMPILED_STEPS = 0
data = Data("digits", validation=200, test=200).open()
model = Architecture(latent=(2,), network=MLP((5,))).build(data.schema.shape)
settings = Training(epochs=1, batch_size=700, accelerator="cpu")
fit = Fit(model, data, Elbo(), settings)
fit.run()
print(fit.weights.is_compiled)
"""


@pytest.mark.slow
@pytest.mark.skipif(execution.compiler() is None, reason="no C++ compiler")
def test_a_damaged_file_in_the_compilers_cache_costs_one_line_wherever_it_is_needed(tmp_path):
    """An interrupt while the compiler writes leaves an empty library behind."""
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}

    def run():
        return subprocess.run(
            [sys.executable, "-c", COMPILED_FIT], env=environment, capture_output=True, text=True
        )

    first = run()
    assert first.stdout == "True\n", first.stderr
    libraries = sorted(tmp_path.rglob("*.main.so"), key=lambda path: path.stat().st_mtime_ns)
    for damaged in (libraries[0], libraries[-1]):  # of the forward and of the backward pass
        whole = damaged.read_bytes()
        damaged.write_bytes(b"")
        done = run()
        damaged.write_bytes(whole)
        assert (done.returncode, done.stdout) == (0, "False\n")
        assert "Traceback" not in done.stderr
        assert "file too short" in done.stderr
        assert str(tmp_path) in done.stderr.splitlines()[-1]


# What a review found


@pytest.mark.parametrize("optimizer", [name for name in optimizers() if name != "Muon"])
def test_every_optimiser_goes_on_exactly(digits, tmp_path, optimizer):
    """Adafactor holds other things of matrices than of vectors. (Muon takes matrices alone.)"""
    settings = dataclasses.replace(SETTINGS, epochs=2, batch_size=600, optimizer=optimizer)
    whole = make(digits, settings)
    whole.run()
    make(digits, dataclasses.replace(settings, epochs=1), checkpoints=tmp_path).run()
    second = make(digits, settings, checkpoints=tmp_path)
    second.resume()
    second.run()
    assert torch.equal(weights(second), weights(whole))


def reshaped(tensors):
    return {
        name: t.flatten()[: t.numel() // 2] if t.dim() == 2 else t for name, t in tensors.items()
    }


def moved(tensors):
    return {
        name.replace("0.", "99.", 1) if name.startswith("0.") else name: t
        for name, t in tensors.items()
    }


ODD = {
    "other shapes": reshaped,
    "a parameter that is not there": moved,
    "numbers without a shape": lambda tensors: {name: t.sum() for name, t in tensors.items()},
    "other numbers": lambda tensors: {name: t.double() for name, t in tensors.items()},
    "a part": lambda tensors: {
        name: t for name, t in tensors.items() if not name.endswith("exp_avg_sq")
    },
}


@pytest.mark.parametrize("spoil", ODD.values(), ids=ODD)
def test_an_optimisers_state_of_another_form_is_refused(digits, tmp_path, spoil):
    """A fused step would go through memory that is not there."""
    settings = dataclasses.replace(SETTINGS, epochs=1)
    fit = make(digits, settings, checkpoints=tmp_path)
    fit.run()
    other = make(digits, settings, checkpoints=tmp_path)
    load = load_checkpoint

    def spoilt(folder):
        groups, state = load(folder)
        return groups | {"optimizer": spoil(groups["optimizer"])}, state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowerbound.training.saving.load_checkpoint", spoilt)
        with pytest.raises(
            RunError, match="its optimiser's state is not that of Adam for these weights"
        ):
            other.resume()


def test_a_checkpoint_that_is_not_finite_is_refused(digits, tmp_path):
    make(digits, dataclasses.replace(SETTINGS, epochs=1), checkpoints=tmp_path).run()
    load = load_checkpoint

    def spoilt(folder):
        groups, state = load(folder)
        next(iter(groups["model"].values())).view(-1)[0] = math.nan
        return groups, state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowerbound.training.saving.load_checkpoint", spoilt)
        with pytest.raises(RunError, match=r"not a checkpoint of this run: its .* holds NaN"):
            make(digits, checkpoints=tmp_path).resume()


def test_a_run_cannot_go_back_behind_the_epoch_that_it_is_in(digits, tmp_path):
    make(digits, dataclasses.replace(SETTINGS, epochs=2), checkpoints=tmp_path).run()
    with pytest.raises(
        RunError,
        match=r"the run is in epoch 2 already; training.epochs must be 2 or more to go on, got 1",
    ):
        make(digits, dataclasses.replace(SETTINGS, epochs=1), checkpoints=tmp_path).resume()


def test_patience_is_judged_when_the_validation_split_was_looked_at(digits):
    settings = dataclasses.replace(SETTINGS, epochs=7, batch_size=600, patience=2, validate_every=3)
    state = make(digits, settings).run()
    assert state.epoch == 7
    assert "validation_objective" in state.history[-1]
    worse = make(digits, dataclasses.replace(settings, learning_rate=1e-12, epochs=30)).run()
    assert worse.epoch % 3 == 0
    assert worse.epoch < 30


def test_two_fits_at_once_are_refused(digits):
    first, second = make(digits), make(digits)
    told = []

    def other():
        with pytest.raises(RunError, match="another fit runs in this process") as found:
            second.run()
        told.append(found.value)

    class Between(Follower):
        def epoch_done(self, history):
            if not told:
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()

    first.run(Between())
    assert told
    second.run()
    assert torch.equal(weights(first), weights(second))


def test_a_follower_is_told_each_epoch_and_the_progress_within_it(digits):
    epochs, examples = [], []

    class Noting(Follower):
        def epoch_done(self, history):
            epochs.append(len(history))

        def progress(self, epoch, done, text):
            examples.append((epoch, done))
            assert text.startswith("bound -")

    fit = make(digits, dataclasses.replace(SETTINGS, epochs=2, batch_size=64))
    fit.run(Noting())
    whole = len(digits.train)
    assert epochs == [1, 2]
    assert examples == [(1, 20 * 64), (1, whole), (2, whole + 20 * 64), (2, 2 * whole)]
