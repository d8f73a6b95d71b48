"""What is wrong with a folder of photographs, and how to set it aside."""

from alexnet.cleaning.find import Findings, Suspect, find, suspect_labels
from alexnet.cleaning.move import apply, proposed, undo
from alexnet.cleaning.page import write_page
from alexnet.data.sources.layout import SET_ASIDE

__all__ = ["SET_ASIDE", "Findings", "Suspect", "apply", "find", "proposed", "suspect_labels", "undo", "write_page"]
