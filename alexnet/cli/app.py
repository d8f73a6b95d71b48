"""The entry: parses the command line, runs a command, and turns errors into messages and exit statuses."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from alexnet._version import __version__
from alexnet.cli import overview
from alexnet.cli.words import translated
from alexnet.errors import Interrupted, PeerLostError, UserError
from alexnet.language import VARIABLE, Language, checked, preferred
from alexnet.text import printable

_PEER_LOST, _WRONG_USE = 1, 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done; 1 some files failed; 2 a user-correctable error, in a line or two (`--debug` shows where);
    130 stopped by Ctrl-C, 143 by SIGTERM. Of several processes, 1 also where another one ended.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    words, language = _without_language(words)
    if words == ["--version"]:
        print(f"alexnet {__version__}")
        sys.exit(0)
    if not words or words[0] in ("-h", "--help"):
        print(overview.text())
        sys.exit(0)
    logging.basicConfig(stream=sys.stderr, format="alexnet: %(message)s")
    # Of processes that train together, one prints for all.
    speaks = words[:1] != ["train"] or os.environ.get("RANK", "0") == "0"
    logging.getLogger("alexnet").setLevel((logging.DEBUG if debug else logging.INFO) if speaks else logging.ERROR)
    spoken: Language = "en"
    try:
        spoken = preferred() if language is None else checked(language)
        with _heard(speaks), _speaking(language):
            status = _run(words)
        sys.stdout.flush()
    except UserError as error:
        if debug:
            raise
        _complain_once(translated(str(error), spoken))
        status = _WRONG_USE
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:  # a full disk, a folder that may not be written
        if debug:
            raise
        _complain_once(_reason(error))
        status = _WRONG_USE
    except Interrupted as stop:
        if speaks:
            print(f"alexnet: {printable(translated(str(stop), spoken))}", file=sys.stderr)
        status = 128 + stop.signal
    except PeerLostError as loss:
        _complain_once(str(loss))
        status = _PEER_LOST
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _without_language(words: list[str]) -> tuple[list[str], str | None]:
    """The words without `--language NAME`, which every command takes, and the name."""
    rest, language = [], None
    given = iter(words)
    for word in given:
        if word == "--language":
            language = next(given, "")
        elif word.startswith("--language="):
            language = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, language


@contextlib.contextmanager
def _speaking(language: str | None) -> Iterator[None]:
    """Within the block, pages and messages are in `language`; None: in the preferred one."""
    if language is None:
        yield
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = language
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


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
    """Print an error, unless another of the processes that train together has."""
    if "RANK" in os.environ:
        from alexnet.distributed import may_speak

        if not may_speak(text):
            return
    print(f"alexnet: {printable(text)}", file=sys.stderr, flush=True)


def _reason(error: OSError) -> str:
    """What could not be read or written, and why; of a file in a folder that is missing, the folder."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return f"cannot write: {reason}"
    path = Path(os.fsdecode(error.filename))
    missing = isinstance(error, FileNotFoundError) and not path.parent.exists()
    return f"{path.parent if missing else path}: {reason}"


def _with_recipe_file(words: list[str]) -> list[str]:
    """`train my.toml ...` as the recipe of that name and the flags that make it, before the user's own."""
    from alexnet import recipes

    if words[0] != "train" or len(words) < 2 or Path(words[1]).suffix not in recipes.FILE_SUFFIXES:
        return words
    recipe = recipes.read(words[1])
    recipes.add(recipe)
    return ["train", recipe.name, "--data", recipe.data, *recipes.overrides(recipe), *words[2:]]


def _run(words: list[str]) -> int:
    import tyro

    from alexnet import baseline, recipes, studies

    words = _with_recipe_file(words)
    from alexnet.cli.commands import app  # knows the recipes that there are by now

    overview.check_words(words, recipes.names(), baseline.names(), studies.NAMES)

    status: int = app.cli(
        prog="alexnet",
        args=words,
        description="AlexNet and its relatives: train, evaluate and predict on images.",
        config=(tyro.conf.CascadeSubcommandArgs,),
    )
    return status
