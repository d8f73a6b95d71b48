"""A network and arrays of the user's own through the whole pipeline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import alexnet
from alexnet.data import Source, from_arrays
from alexnet.errors import Interrupted, UserError


class Net(nn.Module):
    """What a user might write: batch norm, dropout, a tied weight, and a forward of its own."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(8, classes)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        maps = torch.relu(self.norm(self.stem(x_NCHW)))
        return self.head(self.drop(maps.view(len(x_NCHW), 8, -1).mean(2)))  # view: the usual layout is needed


def net(seed: int = 0, classes: int = 3) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net(classes)


def images(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return (rng.integers(0, 60, (n, 16, 16, 1)) + 80 * labels[:, None, None, None]).astype(np.uint8), labels


def source() -> Source:
    return from_arrays(*images(), ["dark", "grey", "light"], name="shades")


def recipe(**changes: Any) -> alexnet.Recipe:
    return alexnet.Recipe(
        name="mine",
        epochs=4,
        batch_size=16,
        device="cpu",
        threads=1,
        optimizer=alexnet.OptimizerConfig(lr=0.05),
        **changes,
    )


def test_from_arrays_to_predictions(tmp_path: Path) -> None:
    own = net()
    before = {name: t.clone() for name, t in own.state_dict().items()}
    run = alexnet.train(replace(recipe(), epochs=12), source(), model=own, out=tmp_path / "run")
    assert any(not torch.equal(before[name], t) for name, t in own.state_dict().items())
    trained = alexnet.load(run, model=net(9))
    result = json.loads((run / "result.json").read_text())
    evaluation = alexnet.evaluate(trained, source())
    assert evaluation.top1 == result["test_top1"] > 0.9
    pixels, labels = images()
    assert trained.predict(pixels[1]).label == ["dark", "grey", "light"][labels[1]]
    assert [p.label for p in trained.predict([torch.from_numpy(pixels[2]).permute(2, 0, 1)])] == ["light"]
    report = (run / "report.html").read_text()
    assert "Net on shades" in report
    assert "alexnet.train(recipe," in report  # what repeats the run is no command
    values = json.loads((run / "recipe.json").read_text())
    assert values["module"].endswith("Net")


def test_weights_of_a_module_need_it(tmp_path: Path) -> None:
    run = alexnet.train(recipe(), source(), model=net(), out=tmp_path / "run")
    with pytest.raises(UserError, match=r"your own .*Net: build it and pass it, alexnet.load\(RUN, model=module\)"):
        alexnet.load(run)
    with pytest.raises(UserError, match=r"(?s)is not a .*Net with .*head.weight 4x8"):
        alexnet.load(run, model=net(classes=4))


class StopAt(alexnet.Observer):
    """Interrupts after an epoch, as Ctrl-C would."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_epoch(self, row: dict[str, Any]) -> None:
        if row["epoch"] == self._epoch:
            raise Interrupted("stopped", 2)


def test_resuming_gives_the_same_bits(tmp_path: Path) -> None:
    whole = alexnet.train(recipe(), source(), model=net(), out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        alexnet.train(recipe(), source(), model=net(), out=tmp_path / "run", observer=StopAt(2))
    with pytest.raises(UserError, match=r"images in memory: give them again"):
        alexnet.resume(tmp_path / "run", model=net(5))
    with pytest.raises(UserError, match=r"trains your own .*Net: pass it again"):
        alexnet.resume(tmp_path / "run", data=source())
    with pytest.raises(UserError, match=r"trains .*Net, not torch.nn.modules.container.Sequential"):
        alexnet.resume(tmp_path / "run", data=source(), model=nn.Sequential(nn.Flatten(), nn.Linear(256, 3)))
    other, labels = images()
    with pytest.raises(UserError, match="the images of shades are not those"):
        alexnet.resume(
            tmp_path / "run", data=from_arrays(255 - other, labels, ["a", "b", "c"], name="shades"), model=net(5)
        )
    run = alexnet.resume(tmp_path / "run", data=source(), model=net(5))
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, run))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


class Broken(Net):
    """Fails in one way or another."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x_NCHW: Tensor) -> Any:
        scores = super().forward(x_NCHW)
        ways = {
            "shape": lambda: scores[:, :2],
            "none": lambda: None,
            "nan": lambda: scores * float("nan"),
            "whole": lambda: scores.round().long(),
            "detached": lambda: scores.detach(),
            "raises": lambda: self.head(x_NCHW),
        }
        return ways[self.how]()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"the shape \[4, 2\] for a batch of \[4, 1, 16, 16\], not \[4, 3\]: one score"),
        ("none", "returns NoneType"),
        ("nan", "returns NaN or infinity"),
        ("whole", "returns torch.int64"),
        ("detached", "no gradient reaches the parameters"),
        ("raises", r"cannot compute a batch of \[4, 1, 16, 16\]"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused_at_once(tmp_path: Path, how: str, message: str) -> None:
    module = Broken(how)
    before = {name: t.clone() for name, t in module.state_dict().items()}
    with pytest.raises(UserError, match=message):
        alexnet.train(recipe(), source(), model=module, out=tmp_path / "run")
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"pretrained": "somewhere"}, "pretrained"),
        ({"pretrained": "somewhere", "freeze": "features"}, "pretrained"),
        ({"layer_decay": 0.5}, "layer_decay"),
        ({"model": alexnet.ModelConfig(whiten=True)}, "model.whiten"),
    ],
)
def test_what_only_our_networks_can_is_refused(tmp_path: Path, change: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError, match=f"{name} is for the networks of alexnet.models"):
        alexnet.train(recipe(**change), source(), model=net(), out=tmp_path / "run")


def test_a_net_without_convolutions_has_no_filters_to_show(tmp_path: Path) -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    run = alexnet.train(recipe(), source(), model=dense, out=tmp_path / "run")
    assert (run / "report.html").is_file()


def test_model_options_are_checked_before_the_images_are_read(tmp_path: Path) -> None:
    wrong = recipe(model=alexnet.ModelConfig(name="lenet", towers="two"))
    with pytest.raises(UserError, match="lenet takes no option towers"):
        alexnet.train(wrong, tmp_path / "missing")
