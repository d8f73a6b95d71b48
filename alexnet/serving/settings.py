"""What a service allows, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alexnet._checks import require

Backend = Literal["torch", "onnx"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits of a service, and what it may do; the defaults suit one machine."""

    device: str = "auto"
    backend: Backend = "torch"
    threads: int | None = None
    """CPU threads the network computes with; None: all cores."""
    top: int = 5
    """Classes named for an image, where the request does not say."""
    accept: float = 0.95
    """Share of the given answers that are to be right, where the request does not say."""
    max_batch: int | None = None
    """Images that go through the network together, at most; None: as many as are fastest, 32 of up to 64 px, 8 of
    larger ones, 64 on a GPU."""
    max_waiting: int = 256
    """Images of one model that may wait; more are answered 429."""
    max_requests: int = 512
    """Requests under way; more are answered 429."""
    max_body_mib: float = 32.0
    """Size of a request; larger ones are answered 413."""
    max_memory_mib: float = 256.0
    """Size of all requests under way together; beyond it they are answered 429."""
    max_megapixels: float = 64.0
    """Size of an image; larger ones are answered 413."""
    max_images: int = 64
    """Images in one request; more are answered 413."""
    upload_s: float = 30.0
    """Time a request may take to arrive; then it is answered 408."""
    answer_s: float = 30.0
    """Time an image may wait for its answer; then it is answered 503."""
    drain_s: float = 30.0
    """Time that requests under way are given when the service stops."""
    token: str | None = None
    """What requests must carry; None: nothing."""
    data: Path | None = None
    """Folder of class folders that photographs may be added to; None: none."""

    def __post_init__(self) -> None:
        require(self.top >= 1, f"--top must be 1 or more, not {self.top}")
        require(0 <= self.accept <= 1, f"--accept must lie in 0..1, not {self.accept}")
        for name in ("max_batch", "max_waiting", "max_requests", "max_images", "threads"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{_flag(name)} must be 1 or more, not {value}")
        for name in ("max_body_mib", "max_memory_mib", "max_megapixels", "upload_s", "answer_s", "drain_s"):
            require(getattr(self, name) > 0, f"{_flag(name)} must be positive, not {getattr(self, name)}")
        require(
            self.max_memory_mib >= self.max_body_mib,
            f"--max-memory-mib ({self.max_memory_mib:g}) must be at least --max-body-mib ({self.max_body_mib:g})",
        )
        require(
            self.token is None or (len(self.token) >= 16 and self.token.isascii() and self.token.isprintable()),
            "the token must have 16 or more printable ASCII characters; "
            "python -c 'import secrets; print(secrets.token_urlsafe())' makes one",
        )

    @property
    def max_body_bytes(self) -> int:
        """Largest request."""
        return int(self.max_body_mib * _MIB)

    @property
    def max_memory_bytes(self) -> int:
        """All requests under way."""
        return int(self.max_memory_mib * _MIB)

    @property
    def max_pixels(self) -> int:
        """Largest image."""
        return int(self.max_megapixels * 1e6)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
