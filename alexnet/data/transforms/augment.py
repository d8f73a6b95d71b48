"""Variation and scaling of whole batches, on the device the batch is on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet.card import Preprocessing
from alexnet.config import CropBorder


def crop_places(side_px: int, padding_px: int, image_px: int) -> int:
    """Rows (and columns) at which a crop of `image_px` can begin in an image of `side_px` with its border."""
    return side_px + 2 * padding_px - image_px + 1


def random_crop(
    x_NHWC: Tensor,
    top_N: Tensor,
    left_N: Tensor,
    padding_px: int,
    image_px: int | None = None,
    border: CropBorder = "black",
) -> Tensor:
    """Cut each image out of its padded self, at its own place.

    Args:
        x_NHWC: uint8 [N, H, W, C], contiguous.
        top_N: int64 [N], first row of each crop in the padded image, below `crop_places`.
        left_N: int64 [N], first column likewise.
        padding_px: width of the border; less than the image's side where it is reflected.
        image_px: side of the crops; None: the size stays.
        border: `black`, or `reflect` for the image mirrored at its edge.
    """
    N, H, W, C = x_NHWC.shape
    h, w = (H, W) if image_px is None else (image_px, image_px)
    padded = with_border(x_NHWC, padding_px, border)
    per_image, per_row, per_pixel, _ = padded.stride()
    first_N = torch.arange(N, device=x_NHWC.device) * per_image + top_N * per_row + left_N * per_pixel
    start_Nh = first_N[:, None] + torch.arange(h, device=x_NHWC.device) * per_row
    # All runs of w * C bytes as one view, a run a byte: picking some of them copies whole rows, not single pixels.
    # There is none where a process has no image of a short batch.
    count = max(padded.numel() - w * C + 1, 0)
    runs = padded.as_strided((count, w * C), (1, 1), padded.storage_offset())
    return runs.index_select(0, start_Nh.flatten()).view(N, h, w, C)


def with_border(x_NHWC: Tensor, padding_px: int, border: CropBorder) -> Tensor:
    """Images [N, H, W, C] with `padding_px` more on each side, less than H and W where the border reflects them."""
    if border == "reflect":
        return _reflected(_reflected(x_NHWC, padding_px, 1), padding_px, 2)
    return F.pad(x_NHWC, (0, 0, padding_px, padding_px, padding_px, padding_px))


def _reflected(x_NHWC: Tensor, padding_px: int, axis: int) -> Tensor:
    """Images with their first and last pixels along `axis` mirrored at its ends; the edge itself is not repeated."""
    last = x_NHWC.shape[axis] - 1
    before = x_NHWC.narrow(axis, 1, padding_px).flip(axis)
    after = x_NHWC.narrow(axis, last - padding_px, padding_px).flip(axis)
    return torch.cat([before, x_NHWC, after], axis)


def flip(x_NHWC: Tensor, mirrored_N: Tensor) -> Tensor:
    """Mirror left to right the images where the bool tensor `mirrored_N` [N] is true."""
    if x_NHWC.device.type == "cpu":  # half of the mirroring; elsewhere counting those would wait for the device
        N, chosen = len(x_NHWC), mirrored_N.nonzero().flatten()
        source_N = torch.arange(N).index_copy_(0, chosen, N + torch.arange(len(chosen)))
        return torch.cat([x_NHWC, x_NHWC.index_select(0, chosen).flip(2)]).index_select(0, source_N)
    return torch.where(mirrored_N[:, None, None, None], x_NHWC.flip(2), x_NHWC)


def shrink(x_NHWC: Tensor, image_px: int) -> Tensor:
    """Resize uint8 images [N, H, W, C] to a side of `image_px`, each new pixel an average of those it covers."""
    x_NCHW = x_NHWC.permute(0, 3, 1, 2)
    if x_NHWC.device.type != "cpu":  # only the CPU resizes bytes
        small_NCHW = F.interpolate(x_NCHW.float(), size=image_px, mode="bilinear", antialias=True).round_().byte()
    else:
        small_NCHW = F.interpolate(x_NCHW, size=image_px, mode="bilinear", antialias=True)
    return small_NCHW.permute(0, 2, 3, 1).contiguous()


def resized_crop(x_NHWC: Tensor, box_4N: Tensor, image_px: int) -> Tensor:
    """Cut a rectangle out of each uint8 image [N, H, W, C] and resize it to a square of `image_px`.

    Each new pixel is an average of those it covers, or lies between its neighbours where a rectangle is enlarged
    (a triangle filter, as `shrink`).

    Args:
        x_NHWC: uint8 images.
        box_4N: top, left, height and width of each rectangle, in 0..1 of the image's side.
        image_px: side of the result.
    """
    N, H, W, C = x_NHWC.shape
    top_N, left_N, height_N, width_N = box_4N
    rows_NhH = _resampling(top_N * H, height_N * H, H, image_px)
    columns_NwW = _resampling(left_N * W, width_N * W, W, image_px)
    tall_NhWC = torch.bmm(rows_NhH, x_NHWC.float().flatten(2)).view(N, image_px, W, C)
    square_NwhC = torch.bmm(columns_NwW, tall_NhWC.transpose(1, 2).flatten(2)).view(N, image_px, image_px, C)
    return square_NwhC.transpose(1, 2).round().clamp_(0, 255).byte().contiguous()


def _resampling(first_N: Tensor, length_N: Tensor, side: int, image_px: int) -> Tensor:
    """Weights [N, image_px, side] of a line's pixels in each of the new pixels of its part from `first_N` on."""
    step_N11 = (length_N / image_px)[:, None, None]
    new_p1 = torch.arange(image_px, device=first_N.device)[:, None] + 0.5
    centre_Np1 = first_N[:, None, None] + new_p1 * step_N11
    distance_Nps = centre_Np1 - (torch.arange(side, device=first_N.device) + 0.5)
    weight_Nps = (1 - distance_Nps.abs() / step_N11.clamp(min=1)).clamp_(min=0)
    return weight_Nps / weight_Nps.sum(2, keepdim=True)


def draw_boxes(scale: float, n: int, generator: torch.Generator) -> Tensor:
    """Random rectangles [4, n] for `resized_crop`: `scale` to 1 of the area, sides in the ratio 3/4 to 4/3."""
    area_n, ratio_n = torch.rand(2, n, generator=generator)
    area_n = scale + (1 - scale) * area_n
    ratio_n = (math.log(4 / 3) * (2 * ratio_n - 1)).exp()
    sides_2n = torch.stack([(area_n / ratio_n).sqrt(), (area_n * ratio_n).sqrt()]).clamp_(max=1)
    return torch.cat([torch.rand(2, n, generator=generator) * (1 - sides_2n), sides_2n])


def cutout_places(side_px: int, cutout_px: int) -> int:
    """Rows (and columns) that can be a square's middle: a pixel where its side is odd, else an edge of one."""
    return side_px + 1 - cutout_px % 2


def cutout(x_NCHW: Tensor, middle_row_N: Tensor, middle_column_N: Tensor, cutout_px: int) -> Tensor:
    """Set a square of each image to 0, the mean colour of normalised images.

    Args:
        x_NCHW: normalised images.
        middle_row_N: [N], row of the square's middle, below `cutout_places`; the part outside of the image is lost.
        middle_column_N: [N], column likewise.
        cutout_px: side of the square.
    """
    hidden_NHW = _within(x_NCHW.shape[2], middle_row_N, cutout_px)[:, :, None]
    hidden_NHW = hidden_NHW & _within(x_NCHW.shape[3], middle_column_N, cutout_px)[:, None, :]
    return x_NCHW.masked_fill_(hidden_NHW[:, None], 0)


def mix(
    x_NCHW: Tensor, y_N: Tensor, classes: int, share_N: Tensor, is_cut_N: Tensor, middle_2N: Tensor
) -> tuple[Tensor, Tensor]:
    """Mix each image and its label with those of the image before it; the first with the last.

    Args:
        x_NCHW: images, two or more of which make a difference.
        y_N: labels.
        classes: K.
        share_N: in 0..1, what stays of each image: of every pixel (Zhang 2018), or of its area (Yun 2019).
        is_cut_N: whether the other's part is a rectangle of it, which may hang over the edge.
        middle_2N: row and column of the rectangle's middle, in 0..1 of the image's side.

    Returns:
        The images, and the labels' shares [N, K]: of a rectangle, the area it really covers.
    """
    H, W = x_NCHW.shape[2:]
    cut_share_N = (1 - share_N).sqrt()
    inside_NHW = _covered(H, middle_2N[0], cut_share_N)[:, :, None] & _covered(W, middle_2N[1], cut_share_N)[:, None]
    kept_NHW = torch.where(is_cut_N[:, None, None], (~inside_NHW).float(), share_N[:, None, None])
    mixed_NCHW = torch.lerp(x_NCHW.roll(1, 0), x_NCHW, kept_NHW[:, None].to(x_NCHW.dtype))
    one_hot_NK = F.one_hot(y_N, classes).float()
    return mixed_NCHW, torch.lerp(one_hot_NK.roll(1, 0), one_hot_NK, kept_NHW.mean((1, 2))[:, None])


def _covered(side: int, middle_N: Tensor, share_N: Tensor) -> Tensor:
    """Bool [N, side]: the pixels whose centres lie within `share_N` of the side around each middle."""
    centres = (torch.arange(side, device=middle_N.device) + 0.5) / side
    return (centres - middle_N[:, None]).abs() < share_N[:, None] / 2


def _within(side: int, middle_N: Tensor, length: int) -> Tensor:
    """Bool [N, side], true at `length` places around each middle."""
    first_N1 = (middle_N - length // 2)[:, None]
    places = torch.arange(side, device=middle_N.device)
    return (places >= first_N1) & (places < first_N1 + length)


class Normalizer:
    """uint8 [N, H, W, C] to the network's input [N, C, H, W], in channels_last layout."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype) -> None:
        mean_C = torch.tensor(preprocessing.mean, dtype=torch.float64)
        std_C = torch.tensor(preprocessing.std, dtype=torch.float64)
        self._scale_C = (1 / (255 * std_C)).float().to(device)
        self._shift_C = (-mean_C / std_C).float().to(device)
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}
        self._dtype = dtype

    def __call__(self, x_NHWC: Tensor, offset_NC: Tensor | None = None) -> Tensor:
        """Scale `x_NHWC` to 0..1, subtract the mean and divide by the standard deviation, channel by channel.

        Where `offset_NC` is given, it is added to each image's pixels in 0..1; they are not clipped.
        """
        W = x_NHWC.shape[2]
        if W not in self._rows:  # one multiply-add over whole rows, which repeat the channels' factors W times
            self._rows[W] = self._scale_C.repeat(W), self._shift_C.repeat(W)
        scale, shift = self._rows[W]
        if offset_NC is not None:
            shift = shift + (255 * self._scale_C * offset_NC).repeat(1, W)[:, None]  # [N, 1, W * C]
        scaled = torch.addcmul(shift, x_NHWC.flatten(2), scale).to(self._dtype)  # [N, H, W * C]
        return scaled.view(x_NHWC.shape).permute(0, 3, 1, 2)
