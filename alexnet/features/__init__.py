"""Features that are not learned by gradients, and classifiers without hidden layers: what came before AlexNet."""

from alexnet.features.classifiers import NearestNeighbors, RbfKernel, nearest, rbf_kernel
from alexnet.features.color import ColorHistogram
from alexnet.features.hog import Hog, dense_sift, hog
from alexnet.features.pipeline import NAMES, Pipeline, create, extractor
from alexnet.features.words import KMeansFeatures, VisualWords, nearest_word

__all__ = [
    "NAMES",
    "ColorHistogram",
    "Hog",
    "KMeansFeatures",
    "NearestNeighbors",
    "Pipeline",
    "RbfKernel",
    "VisualWords",
    "create",
    "dense_sift",
    "extractor",
    "hog",
    "nearest",
    "nearest_word",
    "rbf_kernel",
]
