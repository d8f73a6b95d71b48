"""Read, and change, what layers answer during a forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from alexnet.explain.layers import Layer

Key = tuple[str, int]
"""Path of a module, and which of its calls in a forward pass."""


@contextmanager
def reading(
    model: nn.Module, keys: Sequence[Key], change: Callable[[Key, Tensor], Tensor | None] | None = None
) -> Iterator[dict[Key, Tensor]]:
    """Within the block, each forward pass puts the outputs of the named calls into the dictionary.

    Args:
        model: the network.
        keys: paths of modules, and which of their calls.
        change: given a key and its output, may return what takes its place; the dictionary holds that.
    """
    seen: dict[Key, Tensor] = {}
    calls: Counter[str] = Counter()
    wanted = set(keys)

    def hook_of(path: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
            key = (path, calls[path])
            calls[path] += 1
            if key not in wanted:
                return None
            changed = None if change is None else change(key, output)
            seen[key] = output if changed is None else changed
            return changed

        return hook

    modules = dict(model.named_modules())
    hooks: list[Any] = [modules[path].register_forward_hook(hook_of(path)) for path in sorted({p for p, _ in keys})]
    hooks.append(model.register_forward_pre_hook(lambda *_: calls.clear()))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def key_of(layer: Layer) -> Key:
    """Where the answer of `layer` is read."""
    return layer.read, layer.call


@contextmanager
def last_inputs(model: nn.Module, layers: Sequence[Layer]) -> Iterator[list[Tensor]]:
    """Within the block, what the last layer is given, [N, D] a forward pass, is added to the list.

    Maps are averaged over their places.
    """
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given = inputs[0]
        seen.append((given.mean((2, 3)) if given.ndim == 4 else given.flatten(1)).float())

    last = next((layer for layer in layers if layer.is_last), None)
    hooks = []
    if last is not None:
        hooks.append(dict(model.named_modules())[last.path].register_forward_pre_hook(keep))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
