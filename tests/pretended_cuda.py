"""A pretended GPU: tensors with real values in the CPU's memory that say they are elsewhere, and refuse what CUDA does.

For machines without one: what mixes tensors of two devices fails as it would there. Autocast, kernels that CUDA lacks
and speed are not pretended.
"""

import functools

import torch
from pytorch_lightning.accelerators.cpu import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from datamodule.data import ImageData

CUDA = torch.device("cuda", 0)
INDEXING = {"aten.index.Tensor", "aten.index_put_.default", "aten._index_put_impl_.default", "aten.copy_.default"}


class There(torch.Tensor):
    """A tensor that says it is on the GPU; `here` has its values."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here, requires_grad=False):
        while isinstance(here, There):
            here = here.here
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(
                cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
                layout=here.layout, device="meta", requires_grad=requires_grad,
            )  # fmt: skip
        made.here = here
        return made

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)

    def numpy(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def cpu(self):
        return self.to("cpu")

    def tolist(self):
        return self.detach().cpu().tolist()

    def __deepcopy__(self, memo):
        return There(self.here.clone(), self.requires_grad)

    def __reduce_ex__(self, protocol):
        return self.here.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return answered(operation, args, kwargs or {})


class Dispatch(TorchDispatchMode):
    """For what makes tensors on the GPU out of nothing."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return answered(operation, args, kwargs or {})


def answered(operation, args, kwargs):
    """What an operation makes of the values, on the device where CUDA would leave it."""
    name, tensors = str(operation), [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, There)]
    here = [tensor for tensor in tensors if not isinstance(tensor, There) and tensor.dim() > 0]
    if there and here and not (name in INDEXING and isinstance(args[0], There)) and "copy" not in name:
        raise RuntimeError(
            f"{name}: tensors on two devices, cuda {list(map(shape, there))}, cpu {list(map(shape, here))}"
        )
    target = kwargs.get("device")
    stays = bool(there) if target is None else torch.device(target).type in ("cuda", "meta")
    kwargs = kwargs | ({"device": torch.device("cpu")} if target is not None else {})
    with torch._C._DisableTorchDispatch():
        made = operation(*tree_map(values, args), **tree_map(values, kwargs))
    if name.split(".")[1].endswith("_"):  # in place
        return None if "_foreach_" in name else args[0]
    return tree_map(lambda one: There(one) if stays and isinstance(one, torch.Tensor) else one, made)


def values(one):
    return one.here if isinstance(one, There) else one


def shape(tensor):
    return tuple(tensor.shape)


def moved(module, *args, at_home=torch.nn.Module.to, **kwargs):
    """`Module.to`."""
    places = [one for one in [*args, *kwargs.values()] if isinstance(one, torch.device | str)]
    if not places or torch.device(places[0]).type != "cuda":
        return at_home(module, *args, **kwargs)
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            for name, one in kept.items():
                if isinstance(one, torch.nn.Parameter):
                    kept[name] = torch.nn.Parameter(There(one.detach().clone()), one.requires_grad)
                elif one is not None:
                    kept[name] = There(one.detach().clone())
        for name in getattr(part, "_defaults", {}):  # a metric's state
            if isinstance(found := getattr(part, name), torch.Tensor):
                object.__setattr__(part, name, There(found.clone()))
        if hasattr(part, "_device"):
            part._device = CUDA
    return module


def made_there(maker, *args, device=None, **kwargs):
    """`torch.tensor` and `torch.as_tensor`, which ask for a driver before anything else."""
    if device is None or torch.device(device).type != "cuda":
        return maker(*args, device=device, **kwargs)
    return There(maker(*map(values, args), **kwargs))


def pretend(monkeypatch):
    """From now on this process has a GPU, and Lightning trains on it; the seeds that its generator was given."""
    seeds, fork = [], torch.random.fork_rng
    for name in ("tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, functools.partial(made_there, getattr(torch, name)))
    monkeypatch.setattr(torch.nn.Module, "to", moved)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: fork(devices=[]))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**30))
    monkeypatch.setattr(ImageData, "_device", lambda _: "cpu")  # no page-locked memory without a driver
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda *_: None)
    monkeypatch.setattr(SingleDeviceStrategy, "root_device", property(lambda _: CUDA, lambda *_: None))
    return seeds
