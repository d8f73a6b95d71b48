"""HOG against scikit-image, SIFT against its definition."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from alexnet.data import fit_image
from alexnet.models.pipelines.hog import Hog, dense_sift, hog, to_grey

feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")


def images(count: int, height: int, width: int, channels: int, *, smooth: bool) -> np.ndarray:
    """uint8 [N, H, W, C]: noise, or noise blurred as photographs are."""
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, channels, height, width))).float()
    if smooth:
        x = F.avg_pool2d(x, 5, stride=1, padding=2)
    return x.round().byte().permute(0, 2, 3, 1).numpy()


def reference(x_NHWC: np.ndarray, cell_px: int) -> np.ndarray:
    return np.stack(
        [feature.hog(x, pixels_per_cell=(cell_px, cell_px), cells_per_block=(2, 2), channel_axis=-1) for x in x_NHWC]
    )


def as_tensor(x_NHWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x_NHWC).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(
    ("height", "width", "cell_px", "channels"), [(32, 32, 4, 3), (32, 32, 8, 1), (45, 38, 5, 3), (16, 16, 2, 3)]
)
def test_equals_scikit_image(height, width, cell_px, channels, smooth):
    x = images(20, height, width, channels, smooth=smooth)
    np.testing.assert_allclose(hog(as_tensor(x), cell_px).numpy(), reference(x, cell_px), atol=1e-6)


def test_equals_scikit_image_on_photographs(test_data):
    photographs = []
    with tarfile.open(test_data / "imagenet-samples.tar") as archive:
        for member in archive:
            if member.name.lower().endswith((".jpg", ".jpeg")) and len(photographs) < 8:
                file = archive.extractfile(member)
                assert file is not None
                photographs.append(fit_image(np.asarray(Image.open(file).convert("RGB")), 64, 3))
    x = np.stack(photographs)
    np.testing.assert_allclose(hog(as_tensor(x), 8).numpy(), reference(x, 8), atol=1e-6)


def test_flat_images_give_zeros():
    assert torch.equal(hog(torch.full((2, 3, 32, 32), 77.0), 4), torch.zeros(2, 1764))


def test_the_layer_sees_levels_whatever_the_rounding_of_its_input():
    x = images(4, 32, 32, 3, smooth=True)
    layer = Hog(32, 4, grey=False)
    found = layer(as_tensor(x) / 255)
    assert found.shape == (4, layer.features_out)
    assert torch.equal(found, hog(as_tensor(x), 4))


def test_grey_is_scikit_images_grey():
    from skimage.color import rgb2gray

    x = images(5, 32, 32, 3, smooth=True)
    grey = np.stack([rgb2gray(image.astype(float)) for image in x])[..., None]
    np.testing.assert_allclose(to_grey(as_tensor(x))[:, 0].numpy(), grey[..., 0], rtol=1e-5)
    np.testing.assert_allclose(Hog(32, 4, grey=True)(as_tensor(x) / 255).numpy(), reference(grey, 4), atol=1e-4)


def test_an_image_smaller_than_a_block_is_refused():
    with pytest.raises(ValueError, match="fewer than two cells"):
        hog(torch.zeros(1, 1, 7, 32), 4)


class Operations(TorchDispatchMode):
    """Counts what torch is asked to compute."""

    n = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.n += 1
        return operation(*args, **(kwargs or {}))


def test_a_batch_takes_as_many_operations_as_an_image():
    """Nothing is done image by image, which would be many times slower."""
    counts = []
    for n in (1, 100):
        with Operations() as operations:
            hog(as_tensor(images(n, 32, 32, 3, smooth=True)), 4)
        counts.append(operations.n)
    assert counts[0] == counts[1] > 0


def test_sift_of_an_upright_edge_points_across_it():
    x = torch.zeros(1, 1, 16, 16)
    x[..., 8:] = 100  # brighter to the right: direction 0
    (descriptor,) = dense_sift(x, cell_px=4, step_px=4).flatten(0, 2)
    cells = descriptor.view(4, 4, 8)
    assert (cells[..., 1:] == 0).all()
    assert (cells[:, [0, 3], 0] == 0).all()
    torch.testing.assert_close(cells[:, 1:3, 0], torch.full((4, 2), 8**-0.5))  # eight equal cells, length 1


def test_sift_turns_with_the_image():
    x = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    upright = dense_sift(x, 3, 2).view(2, 7, 7, 4, 4, 8)
    turned = dense_sift(torch.rot90(x, 2, (2, 3)), 3, 2).view(2, 7, 7, 4, 4, 8)
    torch.testing.assert_close(turned, upright.flip(1, 2, 3, 4).roll(4, 5))


def test_sift_between_two_directions_is_shared():
    ramp = torch.arange(16.0)
    angle = torch.tensor(np.pi / 8)  # halfway from the first direction to the second
    x = (ramp * torch.cos(angle) + ramp[:, None] * torch.sin(angle))[None, None]
    cells = dense_sift(F.pad(x, (0, 0, 0, 0)), 4, 4).view(4, 4, 8)[1:3, 1:3]
    torch.testing.assert_close(cells[..., 0], cells[..., 1])
    assert cells[..., 2:].abs().max() < 1e-5
