"""The networks, by name, see `names`."""

from alexnet.models._build import (
    ConvNet,
    ModelFacts,
    count_macs,
    count_parameters,
    create,
    facts,
    has_batch_norm,
    names,
    takes_images,
)
from alexnet.models.alexnet import alexnet, alexnet_2012, alexnet_owt
from alexnet.models.cifar_alexnet import cifar_alexnet
from alexnet.models.convnet_2012 import convnet_2012
from alexnet.models.initialize import initialize, whiten
from alexnet.models.lenet import lenet
from alexnet.models.small_alexnet import small_alexnet
from alexnet.models.tiny_alexnet import tiny_alexnet

__all__ = [
    "ConvNet",
    "ModelFacts",
    "alexnet",
    "alexnet_2012",
    "alexnet_owt",
    "cifar_alexnet",
    "convnet_2012",
    "count_macs",
    "count_parameters",
    "create",
    "facts",
    "has_batch_norm",
    "initialize",
    "lenet",
    "names",
    "small_alexnet",
    "takes_images",
    "tiny_alexnet",
    "whiten",
]
