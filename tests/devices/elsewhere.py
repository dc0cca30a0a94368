"""A device that is not there: tensors that say they are on another device, and are on the CPU.

With it a machine without a GPU finds what would fail on one: an operation on tensors of two
devices, a tensor made on the CPU within a step, a conversion to NumPy, a step that waits for the
device. An operation runs on the CPU, so that its numbers are those of the CPU.

It calls itself "meta", a device that every PyTorch knows; a real tensor of that device has no
numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")

_COPIES = {"aten.copy_.default", "aten._to_copy.default"}
"""Operations that go from device to device."""

_INDEXED = {
    "aten.index.Tensor",
    "aten.index_put.default",
    "aten.index_put_.default",
    "aten._index_put_impl_.default",
}
"""Operations whose indices may be on the CPU."""


class MixedDevicesError(RuntimeError):
    """An operation got tensors of two devices."""


class Log:
    """What happened on the device.

    Attributes:
        waits: how often a number was read from it.
        uploads: the shapes of what was copied to it.
    """

    def __init__(self) -> None:
        self.waits = 0
        self.uploads: list[tuple[int, ...]] = []


_logs: list[Log] = []


class Elsewhere(Tensor):
    """A tensor on the device that is not there; `inner` has its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self, *, tensor_contents=None):
        return f"Elsewhere({self.inner})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _inner(value):
    if isinstance(value, Elsewhere):
        return value.inner
    return value


def _outer(value):
    if isinstance(value, Tensor):
        return Elsewhere(value)
    return value


def _refuse_mixed(name, args, kwargs):
    """Raises MixedDevicesError where CUDA would: tensors without dimensions may come from the CPU,
    and so may indices.
    """
    if name in _COPIES:
        return
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    if name in _INDEXED and isinstance(args[0], Elsewhere):
        tensors = [t for t in tree_leaves((args[0], args[2:])) if isinstance(t, Tensor)]
    here = [t for t in tensors if not isinstance(t, Elsewhere) and t.dim() > 0]
    there = [t for t in tensors if isinstance(t, Elsewhere)]
    if here and there:
        shapes = [(type(t).__name__, tuple(t.shape)) for t in tensors]
        raise MixedDevicesError(f"{name} got tensors of two devices: {shapes}")


def _run(func, args, kwargs):
    """Runs an operation on the CPU, and wraps what belongs on the device."""
    name = str(func)
    _refuse_mixed(name, args, kwargs)
    leaves = tree_leaves((args, kwargs))
    is_there = any(isinstance(leaf, Elsewhere) for leaf in leaves)
    was_there = is_there
    device = kwargs.get("device")
    if device is not None:
        is_there = torch.device(device).type == DEVICE.type
        kwargs = kwargs | {"device": torch.device("cpu")}
    elif name == "aten.copy_.default":
        is_there = isinstance(args[0], Elsewhere)
        was_there = isinstance(args[1], Elsewhere)
    for log in _logs:
        if name == "aten._local_scalar_dense.default" and is_there:
            log.waits += 1
        if name in _COPIES and was_there and not is_there:
            log.waits += 1
        if name in _COPIES and is_there and not was_there:
            log.uploads.append(tuple(leaves[0].shape))
    found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if not is_there:
        return found
    wrapped = tree_map(_outer, found)
    if device is not None:
        return wrapped
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


class _Operations(TorchDispatchMode):
    """Sees the operations that make tensors of nothing, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Constants(TorchFunctionMode):
    """Makes tensors of Python's numbers on the CPU and copies them, as PyTorch does for a GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.new_tensor and isinstance(args[0], Elsewhere):
            kwargs.setdefault("dtype", args[0].dtype)
            return torch.tensor(*args[1:], **kwargs).to(DEVICE)
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


_is_really_on = torch.is_autocast_enabled


def _is_autocast_on(device_type=None):
    """Says that there is no autocast on the device; PyTorch refuses to be asked."""
    if device_type == DEVICE.type:
        return False
    return _is_really_on(device_type or "cuda")


_real_autocast = torch.autocast


def _autocast(device_type, *arguments, **options):
    """Makes no difference on the device, which PyTorch refuses."""
    if device_type == DEVICE.type:
        return nullcontext()
    return _real_autocast(device_type, *arguments, **options)


@contextmanager
def elsewhere() -> Iterator[Log]:
    """Makes `DEVICE` a device with numbers within a block, and yields what happens on it."""
    log = Log()
    _logs.append(log)
    try:
        with (
            _Constants(),
            _Operations(),
            mock.patch("torch.is_autocast_enabled", _is_autocast_on),
            mock.patch("torch.autocast", _autocast),
        ):
            yield log
    finally:
        _logs.remove(log)
