"""`alexnet explain`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath, Streaming

if TYPE_CHECKING:
    from alexnet.explain import Explanation


def explain(
    model: Positional[str],
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="[IMAGE ...]")] = (),
    *,
    data: str | None = None,
    root: OptionalPath = None,
    split: Literal["test", "val", "train"] = "test",
    most_images: int = 10_000,
    out: OptionalPath = None,
    stream: Streaming = "auto",
    seed: int = 0,
    device: str = "auto",
) -> int:
    """Show what a trained network has learned: a page with its filters, channels, maps and reasons.

    Without --data only what needs no data is shown. What was computed is kept in OUT/.cache: an interrupted run goes
    on where it was.

    Args:
        model: Run folder, .safetensors file or a name of `alexnet models`.
        images: Images to look at one by one; default: three of the data.
        data: Name of a source (cifar10, cifar100, fashion_mnist, mnist, digits) or a folder of class folders.
        root: Folder with the source's files, where they are not in the default place.
        split: Images shown to the network.
        most_images: At most so many of them, evenly spread.
        out: Folder of the page; default: explain in the run folder, else explain-MODEL here.
        stream: Read images from disk one after the other: always, never, or where memory would be short (auto).
        seed: Decides what is random.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from alexnet import runtime
    from alexnet.cli import progress
    from alexnet.evaluation.report import EXPLAIN, add_links
    from alexnet.explain import check_folder, write
    from alexnet.explain import explain as find
    from alexnet.run_folder import RunFolder

    folder = check_folder(out or _default_folder(model))
    runtime.start(device, "fp32")
    with progress.stages() as on_progress:
        found = find(
            model,
            images,
            data=data,
            root=root,
            split=split,
            most_images=most_images,
            stream=stream,
            device=device,
            seed=seed,
            cache=folder / ".cache",
            on_progress=on_progress,
        )
        found.command = shlex.join(["alexnet", *sys.argv[1:]])
        page = write(found, folder)
    if page.relative_to(folder.parent).as_posix() == EXPLAIN and RunFolder(folder.parent).report.is_file():
        add_links(RunFolder(folder.parent).report)
    _summary(found)
    show.line(f"page: {page}")
    return OK


def _summary(found: Explanation) -> None:
    if found.collected is not None:
        unused = sum(channels.unused for channels in found.collected.channels)
        tried = sum(len(ablation.channel_U) for ablation in found.ablations)
        n = len(found.collected.labels_N)
        show.line(f"{n:,} images, {tried:,} channels switched off in turn, {unused:,} never react")
    if found.sanity is not None:
        last = ", ".join(
            f"{name.replace('_', ' ')} {values[-1]:.2f}" for name, values in found.sanity.by_method.items()
        )
        show.line(f"correlation with shuffled weights (0: the picture vanishes, as it should): {last}")
    if found.nearest is not None and (near := found.nearest.found) is not None:
        show.line(f"nearest of {near.n:,} training images: {1e3 * near.query_s:.2f} ms a query")


def _default_folder(model: str) -> Path:
    path = Path(model)
    return path / "explain" if path.is_dir() else Path(f"explain-{path.stem}")
