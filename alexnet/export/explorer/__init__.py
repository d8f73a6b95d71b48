"""One HTML file with a network in it, which computes in the page."""

from alexnet.export.explorer.write import OnProgress, Written, export_explorer

__all__ = ["OnProgress", "Written", "export_explorer"]
