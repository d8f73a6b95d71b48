"""What is wrong with a folder of photographs, and how to set it aside."""

from alexnet.cleaning.find import Findings, Suspect, find
from alexnet.cleaning.move import SET_ASIDE, apply, proposed, undo
from alexnet.cleaning.page import write_page

__all__ = ["SET_ASIDE", "Findings", "Suspect", "apply", "find", "proposed", "undo", "write_page"]
