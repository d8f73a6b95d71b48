"""`alexnet baseline`."""

from __future__ import annotations

from typing import Annotated, Any

from tyro.conf import arg

from alexnet import baseline as baselines
from alexnet.cli import show
from alexnet.cli.commands.common import OK, OptionalPath, plain, recipe_subcommands

_AnyBaseline: Any = recipe_subcommands(
    {name: baselines.get(name) for name in baselines.names()},
    {name: baselines.summary(name) for name in baselines.names()},
)


def baseline(
    recipe: Annotated[_AnyBaseline, arg(name="")],
    *,
    root: OptionalPath = None,
    out: OptionalPath = None,
    overwrite: bool = False,
) -> int:
    """Fit a classifier to hand-made features, as was done before AlexNet: alexnet baseline NAME --data SRC.

    Flags follow the name; `alexnet baseline NAME --help` lists all of them. The run folder is like that of a network:
    `alexnet evaluate` and `alexnet predict` take it.

    Args:
        recipe: What to do; every value of it can be changed by a flag.
        root: Folder with the source's files, where they are not in the default place.
        out: Run folder to write; default: runs/<name>-<time>.
        overwrite: Replace an earlier run in --out.
    """
    from alexnet.cli.progress import observe_baseline
    from alexnet.run_folder import RunFolder

    folder = baselines.fit(plain(recipe), root=root, out=out, overwrite=overwrite, observer=observe_baseline())
    show.result(RunFolder(folder))
    return OK
