"""What a baseline is: frozen dataclasses of plain values, one kind for each kind of classifier, and their names.

Like `alexnet.recipes` this needs neither torch nor numpy. A kind has only the settings it uses, so that a flag it
would ignore is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from alexnet.errors import UserError

Loss = Literal["svm", "logistic"]


@dataclass(frozen=True, kw_only=True)
class BaselineRecipe:
    """Everything that decides a baseline's outcome, but for the images themselves."""

    name: str
    """Name of the pipeline."""
    data: str = "cifar10"
    """Images: the name of a source (cifar10, cifar100, fashion_mnist, mnist, digits) or a folder of class folders."""
    seed: int = 0
    """Decides which patches and images are drawn; the validation cut does not depend on it."""
    val_fraction: float = 0.1
    """Share of the training images held out, per class, to choose settings on. The classifier is then refitted to
    all training images."""
    train_images: int | None = None
    """Training images used beside those held out, in the classes' shares and drawn with the seed; None: all."""
    image_px: int | None = None
    """Side that images are brought to; None: their own where all share one of at most 64 px, else 64."""
    open_test: bool = True
    """Measure the result on the test split; False: on the held-out images, so that trials leave it unseen."""
    device: str = "auto"
    """auto (cuda, then cpu), or a device's name; mps lacks the fp64 that fitting needs."""
    threads: int | None = None
    """Threads on the CPU; None: as many as this process may run on."""

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction < 1:
            raise UserError(
                f"a baseline chooses its settings on held-out images: set val_fraction in (0, 1), not "
                f"{self.val_fraction}"
            )
        if self.train_images is not None and self.train_images < 1:
            raise UserError("train_images must be 1 or more")
        if self.threads is not None and self.threads < 1:
            raise UserError("threads must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class LinearRecipe(BaselineRecipe):
    """A linear classifier on features."""

    loss: Loss = "svm"
    """svm (one class against the rest, squared hinge) or logistic (regression over all classes at once)."""


@dataclass(frozen=True, kw_only=True)
class WordsRecipe(LinearRecipe):
    """Features of a dictionary that is learned from patches."""

    words: int
    """Size of the dictionary."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words < 1:
            raise UserError(f"words must be 1 or more, not {self.words}")


@dataclass(frozen=True, kw_only=True)
class KernelRecipe(LinearRecipe):
    """A linear classifier on an approximate kernel."""

    landmarks: int = 4000
    """Training images that each image is compared with; no more are drawn than there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.landmarks < 1:
            raise UserError(f"landmarks must be 1 or more, not {self.landmarks}")


def pixels_knn() -> BaselineRecipe:
    """Nearest neighbours on raw pixels: what no features at all give.

    alexnet baseline pixels_knn --data cifar10
    """
    return BaselineRecipe(name="pixels_knn")


def hog_linear() -> LinearRecipe:
    """Histograms of oriented gradients of the grey image (Dalal 2005) and a linear SVM.

    alexnet baseline hog_linear --data cifar10
    """
    return LinearRecipe(name="hog_linear")


def hog_color_linear() -> LinearRecipe:
    """Histograms of oriented gradients and of colours, and a linear SVM.

    alexnet baseline hog_color_linear --data cifar10
    """
    return LinearRecipe(name="hog_color_linear")


def hog_rbf() -> KernelRecipe:
    """The same features and an SVM with a Gaussian kernel, by Nystroem's method.

    alexnet baseline hog_rbf --data cifar10
    """
    return KernelRecipe(name="hog_rbf")


def visual_words() -> WordsRecipe:
    """Bag of visual words: dense SIFT, a k-means dictionary, a spatial pyramid (Lazebnik 2006) and a linear SVM.

    alexnet baseline visual_words --data cifar10
    """
    return WordsRecipe(name="visual_words", words=300)


def kmeans_features() -> WordsRecipe:
    """Whitened patches against k-means centroids (Coates, Lee and Ng 2011) and a linear SVM.

    alexnet baseline kmeans_features --data cifar10
    """
    return WordsRecipe(name="kmeans_features", words=1600)


_RECIPES: dict[str, Callable[[], BaselineRecipe]] = {
    make.__name__: make for make in (pixels_knn, hog_linear, hog_color_linear, hog_rbf, visual_words, kmeans_features)
}


def names() -> tuple[str, ...]:
    """The names of all baselines."""
    return tuple(_RECIPES)


def get(name: str) -> BaselineRecipe:
    """The baseline `name` with its usual settings; raises `UserError` for an unknown one."""
    if name not in _RECIPES:
        raise UserError(f"unknown baseline {name!r}: choose one of {', '.join(_RECIPES)}")
    return _RECIPES[name]()


def summary(name: str) -> str:
    """One line on what the baseline `name` is."""
    get(name)
    return (_RECIPES[name].__doc__ or "").partition("\n")[0]
