"""Images: where they come from, how they are split, and the form the networks see."""

from alexnet.data._check import CheckReport, check, describe
from alexnet.data._load import Streaming, load, load_split
from alexnet.data.dataset import AnyImages, Dataset, Images, SplitName, channel_statistics, moments
from alexnet.data.decode import BadImageError, decode_image, fit_image
from alexnet.data.folder import image_files
from alexnet.data.pack import OnBad, PackOptions, PackReport, pack
from alexnet.data.source import BadFile, OnProgress
from alexnet.data.sources import SOURCES, SourceFacts, class_names, download
from alexnet.data.split import with_train_images
from alexnet.data.statistics import Moments
from alexnet.data.streamed import StreamedImages

__all__ = [
    "SOURCES",
    "AnyImages",
    "BadFile",
    "BadImageError",
    "CheckReport",
    "Dataset",
    "Images",
    "Moments",
    "OnBad",
    "OnProgress",
    "PackOptions",
    "PackReport",
    "SourceFacts",
    "SplitName",
    "StreamedImages",
    "Streaming",
    "channel_statistics",
    "check",
    "class_names",
    "decode_image",
    "describe",
    "download",
    "fit_image",
    "image_files",
    "load",
    "load_split",
    "moments",
    "pack",
    "with_train_images",
]
