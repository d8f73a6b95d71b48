"""Features that are not learned by gradients, and classifiers without hidden layers: what came before AlexNet."""

from alexnet.models.pipelines.classifiers import NearestNeighbors, RbfKernel, nearest, rbf_kernel
from alexnet.models.pipelines.color import ColorHistogram
from alexnet.models.pipelines.hog import Hog, dense_sift, hog
from alexnet.models.pipelines.pipeline import NAMES, Pipeline, create, extractor
from alexnet.models.pipelines.words import KMeansFeatures, VisualWords, nearest_word

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
