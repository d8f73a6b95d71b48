"""Device, compute dtype and threads of a run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from alexnet._version import __version__
from alexnet.config import Precision
from alexnet.distributed import World, own_share
from alexnet.errors import UserError
from alexnet.system import commit, cpu_name, usable_cores

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # parameters of mallopt(3), from glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = 128 * 1024, 65536  # their defaults, from mallopt(3)
_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
_MOST_THREADS = 1024  # OpenBLAS crashes far above its compiled limit
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """Device and compute dtype of a network; weights are fp32 throughout."""

    device: torch.device
    dtype: torch.dtype
    threads: int
    world: World = field(default_factory=World)
    """The processes that train together."""

    @property
    def precision(self) -> str:
        """fp32, bf16 or fp16."""
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context in which the network computes in `dtype`; fp32 on a GPU means fp32, not TF32."""
        if self.dtype == torch.float32:
            return _whole_fp32() if self.device.type == "cuda" else contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def choose(device: str = "auto", precision: Precision = "auto") -> Runtime:
    """Choose the device and the compute dtype; the process stays as it is, its number of threads included.

    Arguments and errors are those of `start`.
    """
    chosen = _device(device)
    return Runtime(chosen, _DTYPES[_precision(precision, chosen)], torch.get_num_threads())


def start(
    device: str = "auto", precision: Precision = "auto", threads: int | None = None, world: World | None = None
) -> Runtime:
    """Choose the device and its fastest dtype, and set the process up for training.

    Sets the number of CPU threads and how freed memory is kept, and on a GPU cuDNN's flags. A library call does this
    within `preserved`; the command line need not.

    Args:
        device: `auto` (cuda, then mps, then cpu), or a device's name such as `cuda:1`. Each of several processes on
            a host takes the GPU of its number there.
        precision: `auto`: bf16 where the device computes it in hardware, else fp32; or fp32, bf16, fp16.
        threads: threads of the CPU; None: as many as this process may run on, its host's other ranks allowed for.
        world: the processes that train together; None: this one alone.

    Raises:
        UserError: the device or the precision is not to be had here, with the reason.
    """
    world = world or World()
    if threads is not None and threads > _MOST_THREADS:
        raise UserError(f"threads must be at most {_MOST_THREADS}, not {threads}: None takes the usable cores")
    chosen = _device(device) if world.size == 1 else _device_of_many(device, world)
    count = threads or own_share(usable_cores())
    torch.set_num_threads(count)
    if chosen.type == "cpu":
        _keep_freed_memory()
    if chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True
        _disallow_tf32()
    return Runtime(chosen, _DTYPES[_precision(precision, chosen)], count, world)


def _keep_freed_memory() -> None:
    """Have glibc keep large freed blocks for the next step, and torch take them as huge pages.

    Otherwise each step of a small network asks the kernel for the same memory again, thousands of page faults a
    step, and waits for them. Elsewhere than on Linux with glibc this does nothing.
    """
    os.environ.setdefault(_HUGE_PAGES, "1")  # read by torch when it first allocates memory
    _mallopt(0, 2**31 - 1)


def _mallopt(mmap_max: int, trim_threshold: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, mmap_max)
        mallopt(_M_TRIM_THRESHOLD, trim_threshold)


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Restore afterwards what `start` and a training change in the process.

    These are the number of threads, cuDNN's flags, the environment, torch's random generators, and how glibc handles
    freed memory, which returns to its defaults as its former state cannot be read.
    """
    threads, rng = torch.get_num_threads(), torch.get_rng_state()
    cudnn = torch.backends.cudnn
    benchmark, allow_tf32 = cudnn.benchmark, _allows_tf32()
    environment = os.environ.get(_HUGE_PAGES)
    cuda_rng = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(rng)
        if cuda_rng is not None:
            torch.cuda.set_rng_state(cuda_rng)
        cudnn.benchmark = benchmark
        if _allows_tf32() != allow_tf32:
            _set_tf32(allow_tf32)
        if environment is None:
            os.environ.pop(_HUGE_PAGES, None)
        _mallopt(_MMAP_MAX, _TRIM_THRESHOLD)


def _allows_tf32() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return bool(torch.backends.cudnn.allow_tf32)


@contextlib.contextmanager
def _whole_fp32() -> Iterator[None]:
    before = _allows_tf32()
    _set_tf32(False)
    try:
        yield
    finally:
        _set_tf32(before)


def _disallow_tf32() -> None:
    """Have a GPU's convolutions in fp32 use all bits of their inputs, as its matrix products and CPUs do.

    By default they use ten bits of the mantissa (TF32), so the same weights would give other scores than on a CPU.
    """
    _set_tf32(False)


def _set_tf32(allowed: bool) -> None:
    with warnings.catch_warnings():
        # There is a newer switch, but torch.compile still asks for the older one, and refuses a mixture.
        warnings.simplefilter("ignore", UserWarning)
        torch.backends.cudnn.allow_tf32 = allowed


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        _require_cuda(device)
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device mps needs a Mac with Apple silicon and its build of PyTorch: use --device cpu")
    elif device.type not in ("cpu", "mps"):
        raise UserError(f"device {name!r} is not supported: use auto, cpu, cuda, cuda:N or mps")
    return device


def _device_of_many(name: str, world: World) -> torch.device:
    """The device of one of several processes."""
    kind, _, number = name.partition(":")
    if number:
        raise UserError(f"{world.size} processes cannot share {name}: use --device {kind}, and each takes its own")
    device = _device(name)
    if device.type == "mps":
        if name == "mps":
            raise UserError("a Mac has one GPU, which processes cannot share: use one process, or --device cpu")
        return torch.device("cpu")
    if device.type == "cpu":
        return device
    if not torch.distributed.is_nccl_available():
        raise UserError(
            f"training on several GPUs needs NCCL, which this PyTorch ({torch.__version__}) is built without: "
            "use one process, or --device cpu"
        )
    gpus = torch.cuda.device_count()
    if world.local_size > gpus:
        raise UserError(
            f"{world.local_size} processes on this host, but it has {gpus} GPU(s): start one process a GPU, or use "
            "--device cpu"
        )
    device = torch.device("cuda", world.local_rank)
    torch.cuda.set_device(device)
    return device


def _require_cuda(device: torch.device) -> None:
    if torch.version.cuda is None and torch.version.hip is None:
        raise UserError(
            f"device {device} asked for, but this PyTorch ({torch.__version__}) is built for the CPU alone: "
            "install a CUDA build (https://pytorch.org/get-started), or use --device cpu"
        )
    if not torch.cuda.is_available():
        raise UserError(
            f"device {device} asked for, but PyTorch {torch.__version__} finds no usable GPU: check that "
            "nvidia-smi lists one and that the driver is recent enough, or use --device cpu"
        )
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(f"there is no {device}: this machine has {torch.cuda.device_count()} GPU(s), from cuda:0")


def _precision(precision: Precision, device: torch.device) -> str:
    if precision != "auto":
        if precision == "fp16" and device.type == "cpu":
            raise UserError("fp16 training needs a GPU: use --precision bf16 or fp32 on the CPU")
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and cpu_has_bf16():
        return "bf16"
    return "fp32"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware (AVX512-BF16 or AMX); emulation is slower than fp32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def environment(runtime: Runtime) -> dict[str, object]:
    """Versions and hardware, as plain values for the run folder."""
    import numpy as np

    cuda = runtime.device.type == "cuda"
    return {
        "alexnet": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpus": usable_cores(),
        "gpu": torch.cuda.get_device_name(runtime.device) if cuda else None,
        "device": str(runtime.device),
        "precision": runtime.precision,
        "threads": runtime.threads,
        "processes": runtime.world.size,
    }
