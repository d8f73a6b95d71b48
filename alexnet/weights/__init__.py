"""Weights on disk: the native `.safetensors` files, and what other frameworks wrote."""

from alexnet.weights.convert import convert, read_class_names
from alexnet.weights.initial import InitialWeights, find_initial, read_initial
from alexnet.weights.native import load, read_card, save

__all__ = [
    "InitialWeights",
    "convert",
    "find_initial",
    "load",
    "read_card",
    "read_class_names",
    "read_initial",
    "save",
]
