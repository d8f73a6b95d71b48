"""`alexnet models`."""

from __future__ import annotations

from alexnet.cli import show
from alexnet.cli.commands.common import OK


def models_command(*, networks: bool = False, json: bool = False) -> int:
    """List the trained networks that come with alexnet, and the networks that can be trained.

    Args:
        networks: List only the networks that can be trained.
        json: Print a JSON list of the trained networks: name, network, classes, accuracy, bytes and more. With
            --networks, one JSON object, a key a network.
    """
    from dataclasses import asdict

    from alexnet import models
    from alexnet.weights import shipped

    trained = [] if networks else [shipped.get(name) for name in shipped.names()]
    facts = {name: models.facts(name) for name in models.names()}
    if json:
        known = {name: asdict(fact) for name, fact in facts.items()}
        show.json_object(known if networks else [weights.to_json() for weights in trained])
        return OK
    if trained:
        show.table(
            ("trained", "network", "classes", "top-1", "size", "data"),
            [
                (
                    w.name,
                    w.network,
                    str(w.classes),
                    f"{w.accuracy:.3f}",
                    f"{w.file.stat().st_size / 1e6:.1f} MB",
                    w.data,
                )
                for w in trained
            ],
        )
    show.table(
        ("network", "input", "parameters", "lr", "source"),
        [
            (n, f"{f.native_px} px x {f.native_channels}", f"{f.parameters:,}", f"{f.lr:g}", f.source)
            for n, f in facts.items()
        ],
    )
    return OK
