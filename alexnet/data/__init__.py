"""Images: where they come from, how they are split, and the form the networks see."""

from alexnet.data.check import CheckReport, check, describe
from alexnet.data.dataset import AnyImages, Dataset, Images, SplitName, channel_statistics, moments
from alexnet.data.images.decode import EXTENSIONS as IMAGE_SUFFIXES
from alexnet.data.images.decode import BadImageError, decode_image, fit_image
from alexnet.data.images.streamed import StreamedImages
from alexnet.data.load import DataLike, Streaming, load, load_split, source_name
from alexnet.data.pack import OnBad, PackReport, pack
from alexnet.data.sources.in_memory import from_arrays, from_torch
from alexnet.data.sources.layout import image_files
from alexnet.data.sources.registry import SOURCES, SourceFacts, class_names, download
from alexnet.data.sources.shard_writer import PackOptions
from alexnet.data.sources.source import BadFile, OnProgress, Source
from alexnet.data.split import with_train_images
from alexnet.data.transforms.statistics import Moments

__all__ = [
    "IMAGE_SUFFIXES",
    "SOURCES",
    "AnyImages",
    "BadFile",
    "BadImageError",
    "CheckReport",
    "DataLike",
    "Dataset",
    "Images",
    "Moments",
    "OnBad",
    "OnProgress",
    "PackOptions",
    "PackReport",
    "Source",
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
    "from_arrays",
    "from_torch",
    "image_files",
    "load",
    "load_split",
    "moments",
    "pack",
    "source_name",
    "with_train_images",
]
