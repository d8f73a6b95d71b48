"""One self-contained HTML page that says how good a trained network is."""

from alexnet.evaluation.report.links import EXPLAIN, EXPLORER, add_links
from alexnet.evaluation.report.mistakes import worst_mistakes
from alexnet.evaluation.report.page import Mistake, ReportContent, Trial, render, write_report
from alexnet.evaluation.report.pictures import filters_picture
from alexnet.evaluation.report.plots import calibration_plot, curves, curves_svg

__all__ = [
    "EXPLAIN",
    "EXPLORER",
    "Mistake",
    "ReportContent",
    "Trial",
    "add_links",
    "calibration_plot",
    "curves",
    "curves_svg",
    "filters_picture",
    "render",
    "worst_mistakes",
    "write_report",
]
