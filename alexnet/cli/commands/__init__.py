"""The commands, one file each. A command returns its exit status.

torch is imported inside the commands that need it, so help and wrong arguments are answered at once.
"""

from __future__ import annotations

from collections.abc import Callable

import tyro

from alexnet.cli.commands.baseline import baseline
from alexnet.cli.commands.bench import bench
from alexnet.cli.commands.convert import convert
from alexnet.cli.commands.data import data_command
from alexnet.cli.commands.evaluate import evaluate
from alexnet.cli.commands.explain import explain
from alexnet.cli.commands.export import export
from alexnet.cli.commands.models import models_command
from alexnet.cli.commands.predict import predict
from alexnet.cli.commands.recipes import recipes_command
from alexnet.cli.commands.serve import serve
from alexnet.cli.commands.start import start
from alexnet.cli.commands.study import study
from alexnet.cli.commands.train import train

COMMANDS: dict[str, Callable[..., int]] = {
    "start": start,
    "train": train,
    "baseline": baseline,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "explain": explain,
    "convert": convert,
    "export": export,
    "data": data_command,
    "study": study,
    "recipes": recipes_command,
    "models": models_command,
    "bench": bench,
}

app = tyro.extras.SubcommandApp()
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)
