"""Weights on disk: the native `.safetensors` files, and what other frameworks wrote."""

from alexnet.weights.convert import convert, read_class_names
from alexnet.weights.native import load, read_card, save

__all__ = ["convert", "load", "read_card", "read_class_names", "save"]
