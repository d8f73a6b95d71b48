"""`alexnet models`."""

from __future__ import annotations

from alexnet.cli import show
from alexnet.cli.commands.common import OK


def models_command(*, json: bool = False) -> int:
    """List the networks.

    Args:
        json: Print one JSON object.
    """
    from dataclasses import asdict

    from alexnet import models

    facts = {name: models.facts(name) for name in models.names()}
    if json:
        show.json_object({name: asdict(fact) for name, fact in facts.items()})
        return OK
    show.table(
        ("network", "input", "parameters", "lr", "source"),
        [
            (n, f"{f.native_px} px x {f.native_channels}", f"{f.parameters:,}", f"{f.lr:g}", f.source)
            for n, f in facts.items()
        ],
    )
    return OK
