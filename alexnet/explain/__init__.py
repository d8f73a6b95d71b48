"""What a network has learned: filters, patches, maps, attributions, ablation, neighbours, and a page of them all."""

from alexnet.explain.layers import Axis, Field, Layer, describe

__all__ = ["Axis", "Field", "Layer", "describe"]
