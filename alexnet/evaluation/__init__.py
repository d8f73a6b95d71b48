"""Evaluation: metrics over a split, predictions on files, and the report."""

from alexnet.evaluation.classifier import Classifier, Failure, Prediction, evaluate, load
from alexnet.evaluation.ensemble import Ensemble, EnsembleEvaluation
from alexnet.evaluation.metrics import Evaluation, Metrics

__all__ = [
    "Classifier",
    "Ensemble",
    "EnsembleEvaluation",
    "Evaluation",
    "Failure",
    "Metrics",
    "Prediction",
    "evaluate",
    "load",
]
