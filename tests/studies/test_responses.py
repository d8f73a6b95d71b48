"""What units respond to, on networks whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from alexnet import models
from alexnet.studies.responses import Field, answers, chosen_units, write_responses


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return models.create("tiny_alexnet").eval()


def test_a_place_sees_what_its_gradient_reaches(net: torch.nn.Module):
    """Over many images and maps, the pixels that move one place of a map are those that its field covers."""
    x_NCHW = torch.randn(64, 3, 32, 32, requires_grad=True)
    levels = {level.name: level for level in answers(net, x_NCHW.detach())}
    out_NCHW, row, column = x_NCHW, 3, 4
    for name, layer in net.features.named_children():
        out_NCHW = layer(out_NCHW)
        if not name.startswith("act"):
            continue
        (gradient,) = torch.autograd.grad(out_NCHW[:, :, row, column].sum(), x_NCHW, retain_graph=True)
        rows, columns = (gradient.abs().sum((0, 1, 3 - i)).nonzero().flatten().tolist() for i in range(2))
        field = levels[name.replace("act", "conv")].field
        assert isinstance(field, Field)
        for seen, place in ((rows, row), (columns, column)):
            first = field.first + place * field.step
            assert seen == list(range(max(first, 0), min(first + field.size, 32)))


def test_the_strongest_answers_are_found(net: torch.nn.Module):
    x_NCHW = torch.randn(7, 3, 32, 32)
    levels = answers(net, x_NCHW)
    assert [level.name for level in levels] == ["conv1", "conv2", "conv3", "fc4", "fc5"]
    with torch.inference_mode():
        maps_NCHW = net.features[:3](x_NCHW)
    row, column = divmod(int(levels[0].place_NU[2, 5]), levels[0].columns)
    assert maps_NCHW[2, 5, row, column] == maps_NCHW[2, 5].max() == levels[0].strongest_NU[2, 5]
    assert levels[-1].field is None


def test_units_that_stand_out_are_shown(net: torch.nn.Module):
    level = answers(net, torch.randn(40, 3, 32, 32))[0]
    level.strongest_NU[:, 9] = 0.01
    level.strongest_NU[:9, 9] = 100
    assert chosen_units(level)[0] == 9


def test_the_picture(net: torch.nn.Module, tmp_path: Path):
    pixels_NHWC = torch.randint(0, 256, (20, 32, 32, 3), dtype=torch.uint8)
    write_responses(tmp_path / "a.png", net, pixels_NHWC.permute(0, 3, 1, 2) / 255, pixels_NHWC)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1200, 900)
        assert len(picture.convert("RGB").getcolors(10**6)) > 1000
