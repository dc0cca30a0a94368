"""Checkpoints: whole or absent, the last two kept, no pickle, damage noticed."""

import pytest
import torch

from lowerbound.errors import RunError
from lowerbound.networks import MLP
from lowerbound.system import weights
from lowerbound.training.checkpoint import flatten, load_checkpoint, save_checkpoint, unflatten

GROUPS = {"model": {"a": torch.arange(3.0)}, "optimizer": {}}


def test_round_trip(tmp_path):
    save_checkpoint(tmp_path, 7, GROUPS, {"step": 7, "best_value": float("inf")})
    groups, state = load_checkpoint(tmp_path)
    assert torch.equal(groups["model"]["a"], torch.arange(3.0))
    assert groups["optimizer"] == {}
    assert state == {"step": 7, "best_value": float("inf")}


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    for step in (5, 40, 300, 9):
        save_checkpoint(tmp_path, step, GROUPS, {"step": step})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000040", "step-00000300"]
    assert load_checkpoint(tmp_path)[1]["step"] == 300


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    save_checkpoint(tmp_path, 1, GROUPS, {"step": 1})
    (tmp_path / ".writing-x").mkdir()
    assert load_checkpoint(tmp_path)[1]["step"] == 1


def test_an_empty_folder_has_nothing_to_resume(tmp_path):
    with pytest.raises(RunError, match="no checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "damage", [b"", b"\x00" * 64, b"garbage that is no safetensors file at all"]
)
def test_damaged_tensors_are_one_line(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    path.write_bytes(damage)
    with pytest.raises(RunError, match=r"cannot read .*model\.safetensors"):
        weights.load_tensors(path)


def test_the_state_of_an_optimiser_survives():
    def stepped():
        torch.manual_seed(0)
        model = MLP((3,)).encoder((4,), 2)
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        return optimizer

    state = stepped().state_dict()["state"]
    again = unflatten(flatten(state))
    assert again.keys() == state.keys()
    for index, entry in state.items():
        assert all(torch.equal(again[index][name], value) for name, value in entry.items())


def test_weights_of_another_model_are_refused_by_name():
    model = MLP((3,)).encoder((4,), 2)
    other = MLP((5,)).encoder((4,), 2)
    with pytest.raises(
        RunError,
        match=r"not the weights of this model: 1\.bias is \(5,\), but the recipe needs \(3,\)",
    ):
        weights.load_weights(model, other.state_dict(), "here")
