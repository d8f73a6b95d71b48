"""`alexnet serve`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath
from alexnet.errors import UserError

_TOKEN = "ALEXNET_TOKEN"


def serve(
    models: Annotated[Positional[tuple[str, ...]], arg(metavar="MODEL ...")] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    insecure: bool = False,
    data: OptionalPath = None,
    allow_relabel: bool = False,
    device: str = "auto",
    backend: Literal["torch", "onnx"] = "torch",
    threads: int | None = None,
    top: int = 5,
    accept: float = 0.95,
    max_batch: int | None = None,
    max_waiting: int = 256,
    max_requests: int = 512,
    max_images: int = 64,
    max_body_mib: float = 32.0,
    max_memory_mib: float = 256.0,
    max_megapixels: float = 64.0,
    upload_s: float = 30.0,
    answer_s: float = 30.0,
    drain_s: float = 30.0,
) -> int:
    """Serve models to a browser and over HTTP until Ctrl-C.

    The page takes photographs by drop, paste, file and camera. Programs send them to /v1/predict, or to
    /v2/models/NAME/infer (Open Inference Protocol); /openapi.json describes all of it. SIGHUP takes the models anew.

    Args:
        models: Run folders, .safetensors files or names of `alexnet models`, as MODEL or NAME=MODEL; the first is the
            default. None: small, a network for 144 everyday classes.
        host: Name or address to listen on. Others than this machine's own take --token, or --insecure.
        port: 0: any that is free.
        token: What requests must carry as `Authorization: Bearer TOKEN`; default: the environment's ALEXNET_TOKEN.
        insecure: Let anyone who reaches another host's address use the service.
        data: Folder of class folders that photographs of the page can be added to, with --allow-relabel.
        allow_relabel: Let visitors add photographs to --data and retrain on it.
        device: auto, cpu, cuda, cuda:N or mps.
        backend: torch, or onnx (ONNX Runtime, on the CPU).
        threads: CPU threads to compute with; default: all cores.
        top: Classes to name for each image, where a request does not say.
        accept: Share of the given answers that are to be right, where a request does not say.
        max_batch: Images that go through the network together; default: 32 of up to 64 px, 8 of larger ones,
            64 on a GPU.
        max_waiting: Images of a model that may wait; beyond it the answer is 429.
        max_requests: Requests under way; beyond it the answer is 429.
        max_images: Images in one request.
        max_body_mib: Size of one request.
        max_memory_mib: Size of all requests under way.
        max_megapixels: Size of one image.
        upload_s: Time in which a request must arrive.
        answer_s: Time in which an image must be answered.
        drain_s: Time that requests under way are given at the end.
    """
    from alexnet import serving

    serving.check_installed()
    token = token if token is not None else os.environ.get(_TOKEN) or None
    if allow_relabel != (data is not None):
        raise UserError("--data FOLDER and --allow-relabel go together: they let visitors add photographs to FOLDER")
    from alexnet.serving.guard import is_loopback

    if not is_loopback(host) and token is None and not insecure:
        raise UserError(
            f"--host {host} lets other machines in: protect the service with --token (or {_TOKEN} in the "
            "environment), or pass --insecure to let anyone use it"
        )
    if insecure and (token is not None or is_loopback(host)):
        raise UserError("--insecure is for another host without --token: drop it")
    if data is not None and not data.is_dir():
        raise UserError(f"--data {data}: no such folder")
    if not 0 <= port <= 65535:
        raise UserError(f"--port must lie in 0..65535, not {port}")
    settings = serving.Settings(
        device=device,
        backend=backend,
        threads=threads,
        top=top,
        accept=accept,
        max_batch=max_batch,
        max_waiting=max_waiting,
        max_requests=max_requests,
        max_body_mib=max_body_mib,
        max_memory_mib=max_memory_mib,
        max_megapixels=max_megapixels,
        max_images=max_images,
        upload_s=upload_s,
        answer_s=answer_s,
        drain_s=drain_s,
        token=token,
        data=data,
    )
    sources = serving.read_sources(models or ("small",))
    serving.serve(sources, settings, host, port, _say_ready)
    return OK


def _say_ready(address: str, names: Sequence[str]) -> None:
    show.line(f"serving {', '.join(names)} at {address}")
    sys.stdout.flush()
