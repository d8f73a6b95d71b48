"""`alexnet recipes`."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from alexnet import recipes
from alexnet.cli import show
from alexnet.cli.commands.common import OK
from alexnet.errors import UserError


def recipes_command(
    name: Positional[str | None] = None, out: Positional[Path | None] = None, *, json: bool = False
) -> int:
    """List the recipes, or write one to a file to change: alexnet recipes [NAME FILE.toml].

    `alexnet train FILE.toml` trains by the file; flags after it change single values.

    Args:
        name: Recipe to write.
        out: File to write, ending in .toml or .json.
        json: Print every value of every recipe as one JSON object.
    """
    if name is not None:
        if out is None:
            raise UserError(f"name the file to write: alexnet recipes {name} my.toml")
        if out.exists():
            raise UserError(f"{out} exists: name another file")
        recipes.write(recipes.get(name), out)
        show.line(f"{out}: change it, then run: alexnet train {out}")
        return OK
    from alexnet.plain import to_dict

    if json:
        show.json_object({name: to_dict(recipes.get(name)) for name in recipes.names()})
        return OK
    for name in recipes.names():
        recipe = recipes.get(name)
        show.line(f"{name}: {recipe.model.name} on {recipe.data}, {recipe.epochs} epochs")
        show.line(f"    {recipes.summary(name)}")
    return OK
