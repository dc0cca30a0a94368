"""`benchmarks/gpu.py`, in its tiny form on the CPU: every part measures what it says and writes it
as soon as it is there.
"""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))
gpu = importlib.import_module("gpu")


def run(folder, monkeypatch, *parts):
    """Runs parts of the script, and returns what it wrote."""
    words = ["gpu.py", "--tiny", "--threads", "1", "--results", str(folder), "--only", *parts]
    monkeypatch.setattr(sys, "argv", words)
    assert gpu.main() == 0
    return json.loads((folder / "gpu.json").read_text(encoding="utf-8"))


def test_the_cpu_agrees_with_itself_and_earlier_results_stay(tmp_path, monkeypatch):
    (tmp_path / "gpu.json").write_text(json.dumps({"resume": {"kept": 1}}), encoding="utf-8")
    found = run(tmp_path, monkeypatch, "agreement")
    assert found["card"] == {"name": "CPU"}
    assert found["resume"] == {"kept": 1}
    for one in found["agreement"].values():
        assert one["agrees"] is True
        assert one["float32"] == one["cpu"]
        assert 0 < one["float32"]["gradient"] < 1e-4 < one["bfloat16"]["gradient"]


def test_a_device_that_computes_otherwise_does_not_agree(tmp_path, monkeypatch):
    given = gpu.argparse.Namespace(device="cpu", tiny=True, examples=4, draws=2)
    honest = gpu.measured_at

    def wrong(plan, model, batch, zs):
        found = honest(plan, model, batch, zs)
        if next(model.parameters()).dtype == torch.float32:
            found["gradient"] = 1.001 * found["gradient"]
        return found

    monkeypatch.setattr(gpu, "measured_at", wrong)
    assert gpu.agreement_of("hierarchical-mnist", given)["agrees"] is False


def test_a_fit_that_was_cut_off_goes_on_and_another_seed_is_told_apart(tmp_path, monkeypatch):
    found = run(tmp_path, monkeypatch, "resume")["resume"]
    assert found["float32"]["again"]["same_bits"] is True
    assert found["float32"]["resumed"]["same_bits"] is True
    assert found["cpu to cpu"]["resumed"]["same_bits"] is True
    given = gpu.argparse.Namespace(threads=1)
    plan, data = gpu.small_plan(given)
    plan = plan.replace({"training.epochs": 1})
    others = gpu.trained(plan.replace({"training.seed": 1}), data, "cpu")
    apart = gpu.apart(others, gpu.trained(plan, data, "cpu"))
    assert apart["same_bits"] is False
    assert apart["relative_difference"] > 0.01


def test_steps_are_timed_and_the_ladder_is_trained_and_measured(tmp_path, monkeypatch):
    found = run(tmp_path, monkeypatch, "steps", "train")
    one = found["steps"]["measured"]["float32"]
    assert one["examples_per_second"]["median"] > 0
    assert found["steps"]["operations"] > 0
    trained = found["train"]
    assert trained["history"][-1]["step"] == trained["steps"]
    assert trained["history"][-1]["validation_elbo"] > trained["history"][0]["validation_elbo"] - 5
    measured = trained["test_log_likelihood"]
    assert measured["standard_error"] > 0
    assert measured["samples"] in gpu.CHOICES_OF_SAMPLES
    text = importlib.import_module("page").gpu(tmp_path)
    assert "| float32 |" in text
    assert f"Trained: -log p(x) {-measured['value']:.2f} ±" in text
    assert (tmp_path / "gpu-samples.png").stat().st_size > 100


@pytest.mark.parametrize("name", sorted(gpu.STEP_VARIANTS))
def test_the_variants_are_settings_of_the_recipe(name):
    given = gpu.argparse.Namespace(device="cpu", tiny=False)
    plan = gpu.ladder_plan(given, gpu.STEP_VARIANTS[name])
    assert plan.training.batch_size == 256
    assert plan.training.compile == gpu.STEP_VARIANTS[name]["training.compile"]


def test_all_recipes_but_those_for_interactions_are_compared():
    names = gpu.compared_recipes()
    assert {"table", "ladder-mnist-gpu", "conv-mnist", "hierarchical-mnist"} <= set(names)
    assert not [name for name in names if name.startswith(("mult", "recvae"))]
