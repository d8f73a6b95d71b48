"""The command `alexnet`: the only room that parses arguments or prints."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from alexnet._version import __version__
from alexnet.errors import Interrupted, PeerLostError, UserError

_PEER_LOST, _WRONG_USE = 1, 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done; 1 some files failed; 2 a mistake to mend, told in a line or two (`--debug` shows where);
    130 stopped by Ctrl-C, 143 by SIGTERM. Of several processes, 1 also where another one ended.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words == ["--version"]:
        print(f"alexnet {__version__}")
        sys.exit(0)
    logging.basicConfig(stream=sys.stderr, format="alexnet: %(message)s")
    # Of processes that train together, one tells what all would.
    speaks = words[:1] != ["train"] or os.environ.get("RANK", "0") == "0"
    logging.getLogger("alexnet").setLevel((logging.DEBUG if debug else logging.INFO) if speaks else logging.ERROR)
    try:
        with _heard(speaks):
            status = _run(words)
        sys.stdout.flush()
    except UserError as error:
        if debug:
            raise
        _complain_once(str(error))
        status = _WRONG_USE
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:  # a full disk, a folder that may not be written
        if debug:
            raise
        _complain_once(f"{error.filename or 'writing'}: {error.strerror or error}")
        status = _WRONG_USE
    except Interrupted as stop:
        if speaks:
            print(f"alexnet: {stop}", file=sys.stderr)
        status = 128 + stop.signal
    except PeerLostError as loss:
        _complain_once(str(loss))
        status = _PEER_LOST
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


@contextlib.contextmanager
def _heard(speaks: bool) -> Iterator[None]:
    """Within the block, what is printed is seen only where this process speaks for all."""
    with contextlib.ExitStack() as stack:
        if not speaks:
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def _complain_once(text: str) -> None:
    """Tell an error, unless another of the processes that train together has."""
    if "RANK" in os.environ:
        from alexnet.distributed import may_speak

        if not may_speak(text):
            return
    print(f"alexnet: {text}", file=sys.stderr, flush=True)


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
