"""The command `alexnet`: the only room that parses arguments or prints."""

from alexnet.cli.app import main

__all__ = ["main"]
