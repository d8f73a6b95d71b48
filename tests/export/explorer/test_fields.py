"""Which pixels a unit sees, beside what gradients say."""

import pytest
import torch
from torch import nn

from alexnet import models
from alexnet.export.explorer.describe import describe, trace
from alexnet.export.explorer.fields import Window, before, strongest, to_image

NETS = {
    "tiny_alexnet": lambda: models.create("tiny_alexnet").features,
    "convnet_2012": lambda: models.create("convnet_2012").features,
    "odd": lambda: nn.Sequential(
        nn.ZeroPad2d((0, 3, 1, 2)),
        nn.Conv2d(3, 4, (5, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(4, 4, 3),
        nn.AdaptiveAvgPool2d((3, 4)),
    ),
}


def means(features):
    """The same layers with means in place of maxima and no activation, so that every pixel seen has a gradient."""
    layers = []
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layers.append(nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode))
        elif isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1.0)
            layers.append(layer)
        elif isinstance(layer, nn.ZeroPad2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            layers.append(layer)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", NETS)
def test_windows_are_where_gradients_are_not_zero(name):
    features = means(NETS[name]())
    found = describe(features)
    x_NCHW = torch.ones(1, 3, 32, 32, requires_grad=True)
    maps = [x_NCHW]
    for layer in features:
        maps.append(layer(maps[-1]))
    shapes = [tuple(m.shape[2:]) for m in maps[:-1]]
    for y, x in ((0, 0), (1, 2), (maps[-1].shape[2] - 1, maps[-1].shape[3] - 1)):
        (gradient,) = torch.autograd.grad(maps[-1][0, 0, y, x], x_NCHW, retain_graph=True)
        rows, columns = gradient[0].abs().sum(0).nonzero().unbind(1)
        window = to_image(found.ops, shapes, len(found.ops) - 1, Window(y, y + 1, x, x + 1))
        assert (max(window.top, 0), min(window.bottom, 32)) == (rows.min(), rows.max() + 1)
        assert (max(window.left, 0), min(window.right, 32)) == (columns.min(), columns.max() + 1)


def test_a_norm_within_maps_sees_its_neighbours():
    op = {"op": "within_norm", "size": 5}
    assert before(op, Window(3, 4, 7, 8), (9, 9)) == Window(1, 6, 5, 10)


def test_through_maxima_the_place_that_won_is_followed():
    conv = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    found = describe(nn.Sequential(conv, nn.MaxPool2d(2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)))
    x_NCHW = torch.zeros(1, 1, 8, 8)
    x_NCHW[0, 0, 5, 2] = 3.0
    outputs = [out[0] for out in trace(found, x_NCHW)]
    assert outputs[-1].shape == (1, 2, 2)
    at = int(outputs[-1][0].argmax())
    assert strongest(found.ops, outputs, 0, 3, 0, at) == Window(5, 6, 2, 3)
