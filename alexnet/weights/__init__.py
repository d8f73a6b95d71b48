"""Weights on disk: the native `.safetensors` files, and what other frameworks wrote."""

from alexnet.weights import shipped
from alexnet.weights.convert import convert, imagenet_class_names, read_class_names
from alexnet.weights.native import CUSTOM, load, read_card, save
from alexnet.weights.pretrained import PretrainedWeights, find_pretrained, read_pretrained

__all__ = [
    "CUSTOM",
    "PretrainedWeights",
    "convert",
    "find_pretrained",
    "imagenet_class_names",
    "load",
    "read_card",
    "read_class_names",
    "read_pretrained",
    "save",
    "shipped",
]
