"""The values that a choice may have."""

from __future__ import annotations

from typing import Literal

ModelName = Literal[
    "tiny_alexnet",
    "cifar_alexnet",
    "small_alexnet",
    "convnet_2012",
    "alexnet",
    "alexnet_2012",
    "alexnet_owt",
    "lenet",
]
Activation = Literal["relu", "tanh", "sigmoid", "elu", "leaky_relu", "gelu"]
Init = Literal["xavier", "gaussian", "gaussian_source", "kaiming"]
Norm = Literal["response", "batch", "none"]
Towers = Literal["one", "two", "half"]
Variant = Literal["paper", "source", "bvlc_alexnet", "caffenet", "imgclsmob"]
MiddleLayer = Literal["conv2", "conv3", "conv4", "conv5"]
OptimizerName = Literal["sgd", "sgd_2012", "adamw", "muon"]
Flip = Literal["none", "random", "alternating"]
Fit = Literal["crop", "pad", "squash"]
CropBorder = Literal["black", "reflect"]
ColorSource = Literal["train", "imagenet"]
Freeze = Literal["none", "features", "body"]
Balance = Literal["none", "sampling", "weights"]
ScheduleName = Literal["constant", "step", "cosine", "one_cycle", "plateau"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
