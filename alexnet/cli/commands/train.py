"""`alexnet train`."""

from __future__ import annotations

import os
from typing import Annotated, Any

from tyro.conf import arg

from alexnet import recipes
from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath, Streaming, flagged, plain, recipe_subcommands
from alexnet.config import HANG_TIMEOUT_S
from alexnet.errors import UserError

AnyRecipe: Any = recipe_subcommands(
    {name: recipes.get(name) for name in recipes.names()},
    {name: recipes.summary(name) for name in recipes.names()},
)


def train(
    recipe: Annotated[AnyRecipe, arg(name="")] = flagged(recipes.get(recipes.DEFAULT)),  # noqa: B008 - a frozen value
    *,
    root: OptionalPath = None,
    out: OptionalPath = None,
    resume: OptionalPath = None,
    overwrite: bool = False,
    stream: Streaming = "auto",
    track: bool = False,
    processes: int | None = None,
    max_restarts: int | None = None,
    hang_timeout_s: float = HANG_TIMEOUT_S,
) -> int:
    """Train a network and write its run folder: alexnet train [RECIPE] --data SRC.

    Flags follow the recipe's name; `alexnet train RECIPE --help` lists all of them.

    Args:
        recipe: What to do; every value of it can be changed by a flag.
        root: Folder with the source's files, where they are not in the default place.
        out: Run folder to write; default: runs/<recipe>-<time>.
        resume: Continue this interrupted run; everything else comes from it.
        overwrite: Replace an earlier run in --out.
        stream: Read images from disk while training: always, never, or where memory would be short (auto). The result
            is the same.
        track: Also write TensorBoard scalars into the run folder (needs the extra alexnet[track]).
        processes: Train in so many processes of this host together, one a GPU or sharing the CPUs; each takes a share
            of every batch. Over several hosts: torchrun ... -m alexnet train ....
        max_restarts: With --processes: how often they are started again, from the last checkpoint, when one of them
            ends; default: 0.
        hang_timeout_s: Of several processes: seconds without a step after which the one that keeps the others waiting
            is named, and all end.
    """
    recipe = plain(recipe)
    other = (recipe != recipes.get(recipes.DEFAULT), root, out, overwrite, stream != "auto")
    if resume is not None and any(other):
        raise UserError("--resume takes everything from the run: drop the recipe and all other flags but --track")
    if processes is not None:
        from alexnet.cli import launch

        chosen = launch.Chosen(recipe, root, out, resume, overwrite, stream, track, hang_timeout_s)
        return launch.train(chosen, processes, max_restarts or 0)
    if max_restarts is not None:
        raise UserError("--max-restarts goes with --processes; torchrun has its own")
    if hang_timeout_s != HANG_TIMEOUT_S and "RANK" not in os.environ:
        raise UserError("--hang-timeout-s is for several processes: add --processes N, or start them with torchrun")
    from alexnet import training
    from alexnet.cli.progress import observe
    from alexnet.distributed import from_environment

    observer = observe(track=track)
    if resume is not None:
        folder = training.resume(resume, observer=observer, hang_timeout_s=hang_timeout_s)
    else:
        where: Any = {"root": root, "out": out, "overwrite": overwrite, "stream": stream}
        folder = training.train(recipe, **where, observer=observer, hang_timeout_s=hang_timeout_s)
    if from_environment().is_main:  # the run folder may be on its host alone
        show.result(training.RunFolder(folder))
    return OK
