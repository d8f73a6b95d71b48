"""The exceptions that callers may catch."""

from __future__ import annotations


class UserError(ValueError):
    """A user-correctable error: the message says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with 2.
    """


class TrainingFailedError(UserError):
    """The network did not learn: its loss or scores are not finite, or its loss stays at chance level."""


class Interrupted(Exception):  # noqa: N818 - an event, not an error
    """A run was stopped by a signal, and what it did so far is safe; the message says how to go on."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
        """The signal's number."""


class PeerLostError(Exception):
    """Another of the processes that train together ended, or the connection to it broke; the message names it."""
