"""What channels answer over a data set, against what is computed image by image."""

from __future__ import annotations

import pytest
import torch

from alexnet.data import Images
from alexnet.explain import best_patches, collect
from alexnet.explain.cache import Cache
from alexnet.explain.channels import features_of
from alexnet.explain.layers import Axis, Field
from alexnet.explain.patches import cut, sheet
from alexnet.explain.reading import key_of, reading


def coloured(n: int = 12) -> Images:
    """Image i is black but for one 2 x 2 square of colour i % 3, at place i, brighter the larger i."""
    pixels = torch.zeros(n, 8, 8, 3, dtype=torch.uint8)
    for i in range(n):
        row, column = divmod(i, 4)
        pixels[i, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, i % 3] = 150 + i
    return Images(pixels, torch.arange(n) % 3)


def test_a_net_that_detects_colours(colours):
    images = coloured()
    found = collect(colours, images, images.labels_N)
    conv1 = found.of("conv1")
    assert found.top1 == 1.0
    assert found.labels_N.tolist() == images.labels_N.tolist()
    for c in range(3):
        assert conv1.image_CT[c, :4].tolist() == [9 + c, 6 + c, 3 + c, c]  # brightest first
        assert conv1.place_CT[c, :4].tolist() == [9 + c, 6 + c, 3 + c, c]
        assert conv1.best_CT[c, 0].item() == pytest.approx((150 + 9 + c) / 255 - 0.5)
        assert conv1.active_C[c].item() == pytest.approx(4 / (12 * 16))  # one place of 16 in a third of the images
        assert [k for k, _ in conv1.serves(c)] == [c]
    assert conv1.wins_C.sum().item() == pytest.approx(1)
    assert conv1.by_class_KC.argmax(0).tolist() == [0, 1, 2]
    assert conv1.unused == 0


def test_the_best_patch_is_the_coloured_square(colours):
    images = coloured()
    found = collect(colours, images, images.labels_N)
    patches = best_patches(found.of("conv1"), images, 8, torch.tensor([0, 1, 2]))
    assert patches.shape == (3, 9, 2, 2, 3)
    for c in range(3):
        expected = torch.zeros(2, 2, 3, dtype=torch.uint8)
        expected[..., c] = 150 + 9 + c
        assert torch.equal(patches[c, 0], expected)


def test_statistics_are_those_of_all_images_at_once(make):
    subject = make("tiny_alexnet")
    pixels = torch.randint(0, 256, (300, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images = Images(pixels, torch.arange(300) % 5)
    found = collect(subject, images, images.labels_N)
    with torch.no_grad(), reading(subject.model, [key_of(layer) for layer in subject.hidden]) as seen:
        scores = subject.model(subject.input(pixels))
    torch.testing.assert_close(found.log_p_NK, scores.log_softmax(1), rtol=1e-4, atol=1e-4)
    for channels in found.channels:
        answer = seen[key_of(channels.layer)]
        places = answer.flatten(2) if answer.ndim == 4 else answer[:, :, None]
        largest = places.amax(2)
        torch.testing.assert_close(channels.mean_C, largest.mean(0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(channels.std_C, largest.std(0, correction=0), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(channels.active_C, (places > 0).float().mean((0, 2)), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(channels.best_CT, largest.T.topk(9).values, rtol=1e-4, atol=1e-4)
        by_class = torch.stack([largest[images.labels_N == k].mean(0) for k in range(5)])
        torch.testing.assert_close(channels.by_class_KC, by_class, rtol=1e-4, atol=1e-4)
    assert found.features_ND.shape == (300, 256)
    torch.testing.assert_close(features_of(subject, images), found.features_ND)


def test_an_interrupted_pass_goes_on_where_it_was(make, tmp_path, monkeypatch):
    subject = make("tiny_alexnet")
    pixels = torch.randint(0, 256, (700, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images = Images(pixels, torch.arange(700) % 5)
    whole = collect(subject, images, images.labels_N)
    monkeypatch.setattr("alexnet.explain.channels._SAVE_EVERY_S", 0.0)
    steps: list[int] = []

    def stop(_part: str, done: int, _total: int) -> None:
        if done >= 500:
            raise KeyboardInterrupt

    cache = Cache(tmp_path, "key")
    with pytest.raises(KeyboardInterrupt):
        collect(subject, images, images.labels_N, cache, stop)
    again = collect(subject, images, images.labels_N, cache, lambda _, done, __: steps.append(done))
    assert steps == [700]  # the first 500 were kept
    torch.testing.assert_close(again.log_p_NK, whole.log_p_NK)
    for a, b in zip(again.channels, whole.channels, strict=True):
        torch.testing.assert_close(a.best_CT, b.best_CT)
        assert torch.equal(a.image_CT, b.image_CT)
        torch.testing.assert_close(a.by_class_KC, b.by_class_KC)
    steps.clear()
    collect(subject, images, images.labels_N, cache, lambda _, done, __: steps.append(done))
    assert steps == []  # all was there


def test_without_labels_the_networks_own_answers_count(colours):
    found = collect(colours, coloured(), None)
    assert found.top1 == 1.0
    assert found.labels_N.tolist() == [i % 3 for i in range(12)]


def test_a_cache_is_read_only_where_it_fits(tmp_path, caplog):
    tensors = {"a": torch.arange(5.0), "b": torch.tensor([], dtype=torch.int64)}
    cache = Cache(tmp_path, "one")
    cache.save("conv1/x", tensors)
    kept = cache.load("conv1/x")
    assert kept is not None
    assert torch.equal(kept["a"], tensors["a"])
    assert Cache(tmp_path, "two").load("conv1/x") is None
    assert cache.load("other") is None
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[-3] ^= 0xFF  # a value, not the header
    file.write_bytes(content)
    assert cache.load("conv1/x") is None
    assert "its checksum does not fit" in caplog.text
    file.write_bytes(b"nothing of the kind")
    assert cache.load("conv1/x") is None
    assert Cache(None, "").load("conv1/x") is None


def test_patches_are_cut_with_grey_beyond_the_edge():
    pixels = torch.arange(16, dtype=torch.uint8).view(1, 4, 4, 1)
    field = Field(Axis(3, -1, 2), Axis(3, -1, 2))
    zero = torch.tensor([0])
    assert cut(pixels, zero, zero, zero, field)[0, :, :, 0].tolist() == [[128] * 3, [128, 0, 1], [128, 4, 5]]
    one = torch.tensor([1])
    assert cut(pixels, zero, one, one, field)[0, :, :, 0].tolist() == [[5, 6, 7], [9, 10, 11], [13, 14, 15]]


def test_a_sheet_has_each_patch_at_its_place():
    patches = torch.arange(2 * 9, dtype=torch.uint8).view(2, 9, 1, 1, 1).expand(2, 9, 4, 4, 1)
    drawn = sheet(patches, tile_px=4, columns=2)
    assert drawn.shape == (17, 34, 3)
    assert drawn[0, 0].tolist() == [0, 0, 0]
    assert drawn[4, 0].tolist() == [255, 255, 255]  # the gap
    assert drawn[5, 5].tolist() == [4, 4, 4]
    assert drawn[10, 17 + 10].tolist() == [17, 17, 17]
