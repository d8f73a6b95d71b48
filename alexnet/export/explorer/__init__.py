"""One HTML file with a network in it, which computes in the page."""

from alexnet.export.explorer.write import Written, export_explorer

__all__ = ["Written", "export_explorer"]
