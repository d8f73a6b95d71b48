"""The command `alexnet`: the only room that parses arguments or prints."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from alexnet import __version__
from alexnet.config import Interrupted, UserError

_WRONG_USE = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done; 1 some files failed; 2 a mistake to mend, told in a line or two (`--debug` shows where);
    130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words == ["--version"]:
        print(f"alexnet {__version__}")
        sys.exit(0)
    logging.basicConfig(stream=sys.stderr, format="alexnet: %(message)s")
    logging.getLogger("alexnet").setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        status = _run(words)
        sys.stdout.flush()
    except UserError as error:
        if debug:
            raise
        print(f"alexnet: {error}", file=sys.stderr)
        status = _WRONG_USE
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:  # a full disk, a folder that may not be written
        if debug:
            raise
        print(f"alexnet: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
        status = _WRONG_USE
    except Interrupted as stop:
        print(f"alexnet: {stop}", file=sys.stderr)
        status = 128 + stop.signal
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _run(words: list[str]) -> int:
    import tyro

    from alexnet.cli.commands import app

    status: int = app.cli(
        prog="alexnet",
        args=words,
        description="AlexNet and its relatives: train, evaluate and predict on images.",
        config=(tyro.conf.CascadeSubcommandArgs,),
    )
    return status
