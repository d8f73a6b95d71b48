"""Training: from a recipe and images to a run folder."""

from alexnet.errors import Interrupted
from alexnet.run_folder import RunFolder
from alexnet.training.observer import Observer, Progress
from alexnet.training.run import resume, train

__all__ = ["Interrupted", "Observer", "Progress", "RunFolder", "resume", "train"]
