"""What a network has learned: filters, patches, maps, attributions, ablation, neighbours, and a page of them all.

found = alexnet.explain.explain("runs/mine", data="cifar10")
alexnet.explain.write(found, "explained")
"""

from alexnet.explain.ablation import Ablation, ablate
from alexnet.explain.attribution import grad_cam, integrated_gradients, occlusion
from alexnet.explain.channels import Channels, Collected, collect
from alexnet.explain.explanation import Explanation
from alexnet.explain.layers import Axis, Field, Layer, describe
from alexnet.explain.neighbours import nearest
from alexnet.explain.patches import best_patches
from alexnet.explain.run import explain
from alexnet.explain.subject import Subject
from alexnet.explain.visualisation import visualise
from alexnet.explain.write import check_folder, to_json, write

__all__ = [
    "Ablation",
    "Axis",
    "Channels",
    "Collected",
    "Explanation",
    "Field",
    "Layer",
    "Subject",
    "ablate",
    "best_patches",
    "check_folder",
    "collect",
    "describe",
    "explain",
    "grad_cam",
    "integrated_gradients",
    "nearest",
    "occlusion",
    "to_json",
    "visualise",
    "write",
]
