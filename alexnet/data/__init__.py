"""Images: where they come from, how they are split, and the form the networks see."""

from alexnet.data._load import load
from alexnet.data.dataset import Dataset, Images, SplitName, channel_statistics
from alexnet.data.decode import BadImageError, decode_image, fit_image
from alexnet.data.source import BadFile, OnProgress

__all__ = [
    "BadFile",
    "BadImageError",
    "Dataset",
    "Images",
    "OnProgress",
    "SplitName",
    "channel_statistics",
    "decode_image",
    "fit_image",
    "load",
]
