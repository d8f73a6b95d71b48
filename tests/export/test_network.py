from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from alexnet.export import network


@pytest.mark.parametrize("parts", [1, 2])
def test_decomposed_response_norm_is_that_of_torch(parts):
    x_NCHW = 30 * torch.randn(2, 12, 3, 4, generator=torch.Generator().manual_seed(0))
    found = network.DecomposedNorm(alpha=1e-3, k=1.0, parts=parts, maps=12)(x_NCHW)
    expected = torch.cat(
        [F.local_response_norm(part, 5, alpha=5e-3, beta=0.75, k=1.0) for part in x_NCHW.chunk(parts, 1)], 1
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 7, 8, 13])
@pytest.mark.parametrize("outputs", [1, 2, 6])
@pytest.mark.parametrize("kind", [torch.nn.AdaptiveMaxPool2d, torch.nn.AdaptiveAvgPool2d])
def test_adaptive_pooling_with_its_windows_written_out(side, outputs, kind):
    x_NCHW = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    adaptive = kind(outputs)
    torch.testing.assert_close(network.fixed_pool(adaptive, side)(x_NCHW), adaptive(x_NCHW))


@pytest.mark.parametrize(
    ("name", "image_px", "options"),
    [
        ("cifar_alexnet", 32, {}),
        ("cifar_alexnet", 20, {"towers": "two"}),
        ("small_alexnet", 40, {}),
        ("convnet_2012", 32, {}),
        ("tiny_alexnet", 32, {"activation": "elu"}),
    ],
)
def test_the_form_for_exporters_computes_the_same(make, name, image_px, options):
    classifier = make(name, image_px=image_px, **options)
    before = {key: value.clone() for key, value in classifier.model.state_dict().items()}
    x_NCHW = torch.rand(3, 3, image_px, image_px, generator=torch.Generator().manual_seed(0))
    prepared = network.prepared(classifier, operators=False)
    with torch.inference_mode():
        torch.testing.assert_close(prepared(x_NCHW), classifier.model(x_NCHW), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in classifier.model.state_dict().items())
