"""How images are varied."""

from __future__ import annotations

from dataclasses import dataclass

from alexnet._checks import check_values, require
from alexnet.config.choices import (
    ColorSource,
    CropBorder,
    Flip,
)

_LARGEST_BORDER_PX = 512


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training images are varied and how all images are scaled."""

    crop_padding_px: int = 0
    """Border put around an image before a random crop back to its size; 0: no random crop."""
    crop_border: CropBorder = "black"
    """What the border shows: black, or the image reflected at its edge."""
    crop_scale: float = 1.0
    """Show a random rectangle of each image, of at least this share of its area and of sides in the ratio 3/4 to 4/3,
    resized to the whole (Szegedy 2015; torchvision's RandomResizedCrop); 1: none."""
    flip: Flip = "none"
    """Mirror images left to right: random, each with probability 1/2; alternating, each in every other epoch,
    the first drawn at random, so that two epochs show both sides of all (Jordan 2024)."""
    cutout_px: int = 0
    """Side of a square, centred anywhere in the image, that is set to the mean colour (DeVries 2017), or to black
    where pixels are not normalised; 0: none."""
    pca_color: float = 0.0
    """Shift the colour of each image along the principal components of the pixels' colours, by their variance times a
    draw of this standard deviation, drawn again at every use (Krizhevsky 2012, section 4.1: 0.1); 0: none."""
    pca_color_of: ColorSource = "train"
    """Whose components: the training split's own, or ImageNet's as they were published."""
    mixup: float = 0.0
    """Blend each image and its label with those of its neighbour in the batch, by a share drawn from a beta
    distribution of this parameter (Zhang 2018: 0.2); 0: none."""
    cutmix: float = 0.0
    """Instead put a rectangle of the neighbour into each image, its share drawn likewise (Yun 2019: 1); with mixup
    also set, each image takes one of the two by chance; 0: none."""
    normalize: bool = True
    """Subtract the training split's channel means and divide by its standard deviations; False: pixels in 0..1."""
    raw_pixels: bool = False
    """Leave pixels on their scale of 0..255: normalising subtracts the means alone (Krizhevsky 2012, section 2)."""

    def __post_init__(self) -> None:
        check_values(self, "augment.")
        require(
            0 <= self.crop_padding_px <= _LARGEST_BORDER_PX,
            f"augment.crop_padding_px must lie in 0..{_LARGEST_BORDER_PX}, not {self.crop_padding_px}",
        )
        require(self.cutout_px >= 0, "augment.cutout_px cannot be negative")
        require(0 < self.crop_scale <= 1, f"augment.crop_scale must lie in (0, 1], 1 for none, not {self.crop_scale}")
        require(
            self.crop_padding_px > 0 or self.crop_border == "black",
            "augment.crop_border is not used without a border: set augment.crop_padding_px above 0",
        )
        for name in ("pca_color", "mixup", "cutmix"):
            require(getattr(self, name) >= 0, f"augment.{name} cannot be negative; 0: none")
        require(
            self.pca_color > 0 or self.pca_color_of == "train",
            "augment.pca_color_of is not used without a shift of colours: set augment.pca_color above 0",
        )
