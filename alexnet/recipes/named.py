"""Named recipes: each is a function that says what it is for, its command, and what it gave.

A recipe derives from another with `dataclasses.replace`; results stand in `benchmarks/RESULTS.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.errors import UserError


def tiny_cifar10() -> Recipe:
    """TinyAlexNet in ten epochs: what `alexnet train` does by default.

    alexnet train tiny_cifar10 --data cifar10
    """
    return Recipe(
        name="tiny_cifar10",
        model=ModelConfig(name="tiny_alexnet", dropout=0.0),  # ten epochs end before there is anything to drop
        augment=AugmentConfig(crop_padding_px=2, flip="random"),
        optimizer=OptimizerConfig(name="sgd", lr=0.1, weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle"),
        label_smoothing=0.1,
        grad_clip_norm=2.0,  # rarely reached on CIFAR-10; keeps the rate safe on other data
        epochs=10,
        batch_size=128,
        val_fraction=0.0,
    )


def tiny_fast() -> Recipe:
    """TinyAlexNet past the tutorial's accuracy in three epochs.

    alexnet train tiny_fast --data cifar10
    """
    base = tiny_cifar10()
    return replace(
        base,
        name="tiny_fast",
        model=replace(base.model, whiten=True),
        augment=AugmentConfig(crop_padding_px=2, crop_border="reflect", flip="alternating"),
        optimizer=OptimizerConfig(name="muon", lr=0.03, weight_decay=1e-3),
        grad_clip_norm=None,
        epochs=3,
        batch_size=256,
    )


def tiny_cifar10_best() -> Recipe:
    """TinyAlexNet as good as it gets here: 110 epochs with Muon, twenty minutes or more on two cores.

    alexnet train tiny_cifar10_best --data cifar10
    """
    base = tiny_fast()
    return replace(
        base,
        name="tiny_cifar10_best",
        augment=replace(base.augment, crop_padding_px=4),
        optimizer=OptimizerConfig(name="muon", lr=0.03, weight_decay=0.1, other_lr=0.1, other_weight_decay=1e-3),
        schedule=ScheduleConfig(name="one_cycle", warmup_epochs=5.0),
        ema_decay=0.999,
        epochs=110,
    )


def cifar_alexnet_fast() -> Recipe:
    """An eight-layer AlexNet for 32 px images, in about twenty minutes on two cores.

    alexnet train cifar_alexnet_fast --data cifar10

    Optimiser and augmentation are those of cifar10-airbench (Jordan 2024). The first ten epochs show images of
    24 px, which cost half as much as those of 32 px.
    """
    return Recipe(
        name="cifar_alexnet_fast",
        model=ModelConfig(name="cifar_alexnet", whiten=True),
        augment=AugmentConfig(crop_padding_px=2, crop_border="reflect", flip="alternating"),
        optimizer=OptimizerConfig(
            name="muon", lr=0.24, other_lr=0.05, momentum=0.6, weight_decay=1e-2, normalize=True
        ),
        schedule=ScheduleConfig(name="one_cycle", warmup_epochs=0.0),
        label_smoothing=0.2,
        ema_decay=0.99,
        image_px=32,
        train_px=(24,) * 10 + (32,) * 4,
        epochs=14,
        batch_size=1000,
        val_fraction=0.0,
    )


def cifar_alexnet_best() -> Recipe:
    """The same network at its best: 52 epochs, most of an hour on two cores.

    alexnet train cifar_alexnet_best --data cifar10
    """
    base = cifar_alexnet_fast()
    return replace(
        base,
        name="cifar_alexnet_best",
        augment=replace(base.augment, crop_padding_px=4, cutout_px=8),
        train_px=(20,) * 20 + (24,) * 20 + (32,) * 12,
        epochs=52,
    )


def digits() -> Recipe:
    """TinyAlexNet on scikit-learn's handwritten digits: the demo, half a minute with no download.

    alexnet train digits
    """
    base = tiny_cifar10()
    return replace(
        base,
        name="digits",
        data="digits",
        threads=1,  # steps so short that several threads wait for each other, for minutes on a busy computer
        epochs=20,
        batch_size=64,
        val_fraction=0.1,
        augment=AugmentConfig(crop_padding_px=2),  # no flip: a mirrored digit is another sign
        optimizer=replace(base.optimizer, lr=0.02),
    )


def photos() -> Recipe:
    """The network `small`, which comes with alexnet, fine-tuned on a folder of photographs at 64 px.

    alexnet train photos --data FOLDER

    A part is held out to watch it, and to fit what answers are worth. `alexnet start FOLDER` does this and more.
    """
    return Recipe(
        name="photos",
        data="photos",
        pretrained="small",
        probe=True,
        model=ModelConfig(name="small_alexnet", dropout=0.3),
        augment=AugmentConfig(crop_scale=0.5, flip="random"),
        optimizer=OptimizerConfig(
            name="muon", lr=0.004, other_lr=0.001, momentum=0.6, weight_decay=0.0, normalize=True
        ),
        schedule=ScheduleConfig(name="one_cycle", warmup_epochs=0.0),
        label_smoothing=0.1,
        ema_decay=0.99,
        epochs=10,
        batch_size=64,
        val_fraction=0.1,
    )


def pretrain_small() -> Recipe:
    """An eight-layer AlexNet for photographs of 64 px, trained on many classes to be fine-tuned on others.

    alexnet train pretrain_small --data FOLDER
    """
    base = cifar_alexnet_fast()
    return replace(
        base,
        name="pretrain_small",
        data="photos",
        model=ModelConfig(name="small_alexnet", whiten=True),
        augment=AugmentConfig(crop_scale=0.35, flip="random", pca_color=0.1),
        label_smoothing=0.1,
        ema_decay=0.998,
        image_px=64,
        train_px=(40,) * 16 + (48,) * 22 + (64,) * 10,
        epochs=48,
    )


def tutorial_tiny() -> Recipe:
    """The tutorial's first run: plain SGD on pixels in 0..1, weights as Gluon's Xavier, decay on biases too.

    alexnet train tutorial_tiny --data cifar10
    """
    return Recipe(
        name="tutorial_tiny",
        model=ModelConfig(name="tiny_alexnet", init="xavier"),
        augment=AugmentConfig(normalize=False),
        optimizer=OptimizerConfig(name="sgd", lr=0.03, weight_decay=1e-3, momentum=0.0, decay_biases=True),
        schedule=ScheduleConfig(name="constant"),
        epochs=10,
        batch_size=64,
        val_fraction=0.0,
    )


def tutorial_tiny_momentum() -> Recipe:
    """The tutorial's published run (0.7264 on the lossless CIFAR-10): classical momentum, 100 epochs.

    alexnet train tutorial_tiny_momentum --data cifar10
    """
    base = tutorial_tiny()
    optimizer = replace(base.optimizer, lr=0.01, momentum=0.9, nesterov=False)
    return replace(base, name="tutorial_tiny_momentum", optimizer=optimizer, epochs=100, batch_size=256)


def lenet_fashion() -> Recipe:
    """LeNet on Fashion-MNIST, the tutorial's predecessor on its own data.

    alexnet train lenet_fashion --data fashion_mnist
    """
    return Recipe(
        name="lenet_fashion",
        data="fashion_mnist",
        model=ModelConfig(name="lenet"),
        augment=AugmentConfig(flip="random"),
        optimizer=OptimizerConfig(name="sgd", lr=0.05, weight_decay=5e-4),
        schedule=ScheduleConfig(name="one_cycle"),
        epochs=10,
        batch_size=128,
        val_fraction=0.0,
    )


def lenet_cifar10() -> Recipe:
    """LeNet on CIFAR-10, to set beside TinyAlexNet.

    alexnet train lenet_cifar10 --data cifar10
    """
    base = tiny_cifar10()
    return replace(base, name="lenet_cifar10", model=ModelConfig(name="lenet"))


def finetune() -> Recipe:
    """A trained network on a folder of photographs: few of them are enough, as its layers know images already.

    alexnet train finetune --data FOLDER --model.name alexnet_owt --freeze features
        --pretrained torchvision:IMAGENET1K_V1

    The last layers learn fastest. --pretrained also takes a run folder or a file of weights of the network
    --model.name.
    """
    return Recipe(
        name="finetune",
        data="photos",
        pretrained="torchvision:IMAGENET1K_V1",
        layer_decay=0.7,
        model=ModelConfig(name="alexnet_owt"),
        augment=AugmentConfig(flip="random"),
        optimizer=OptimizerConfig(name="sgd", lr=0.01, weight_decay=5e-4),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=1),
        grad_clip_norm=1.0,
        epochs=20,
        batch_size=32,
        val_fraction=0.1,
    )


def imagenet_2012() -> Recipe:
    """The paper's net as the paper trained it: 90 epochs of its own update rule (Krizhevsky 2012, section 5).

    alexnet train imagenet_2012 --data FOLDER

    docs/alexnet-2012.md lists every departure. Add --model.variant source --model.init gaussian_source
    --optimizer.bias-lr 0.02 for what its authors' code does.
    """
    return Recipe(
        name="imagenet_2012",
        data="imagenet",
        model=ModelConfig(name="alexnet_2012", init="gaussian"),
        image_px=224,
        resize_px=256,
        augment=AugmentConfig(flip="random", pca_color=0.1, raw_pixels=True),
        optimizer=OptimizerConfig(name="sgd_2012", lr=0.01, momentum=0.9, weight_decay=5e-4),
        schedule=ScheduleConfig(name="plateau", factor=0.1, max_drops=3),
        epochs=90,
        batch_size=128,
        val_fraction=0.04,  # of ImageNet's training images: as many as its own 50,000 for validation
        precision="fp32",
    )


def imagenet_modern() -> Recipe:
    """The paper's net as one would train it today: cosine, bf16, smoothed labels, batches of 512.

    alexnet train imagenet_modern --data FOLDER
    """
    return replace(
        imagenet_2012(),
        name="imagenet_modern",
        model=ModelConfig(name="alexnet_2012", init="kaiming"),
        augment=AugmentConfig(flip="random", pca_color=0.1),
        optimizer=OptimizerConfig(name="sgd", lr=0.04, momentum=0.9, weight_decay=5e-4),  # 0.01 times 512 / 128
        schedule=ScheduleConfig(name="cosine", warmup_epochs=5),
        batch_size=512,
        label_smoothing=0.1,
        grad_clip_norm=2.0,
        val_fraction=0.01,
        precision="auto",
    )


_RECIPES: dict[str, Callable[[], Recipe]] = {
    make.__name__: make
    for make in (
        tiny_cifar10,
        tiny_fast,
        tiny_cifar10_best,
        cifar_alexnet_fast,
        cifar_alexnet_best,
        photos,
        pretrain_small,
        digits,
        tutorial_tiny,
        tutorial_tiny_momentum,
        lenet_fashion,
        lenet_cifar10,
        finetune,
        imagenet_2012,
        imagenet_modern,
    )
}
DEFAULT = "tiny_cifar10"
SHIPPED = tuple(_RECIPES)
"""Names of the recipes that come with the package."""


def names() -> tuple[str, ...]:
    """The names of all recipes, those that were added among them."""
    return tuple(_RECIPES)


def get(name: str) -> Recipe:
    """The recipe `name`; raises `UserError` for an unknown one."""
    if name not in _RECIPES:
        raise UserError(f"unknown recipe {name!r}: choose one of {', '.join(_RECIPES)}")
    return _RECIPES[name]()


def add(recipe: Recipe) -> None:
    """Make a recipe of another name known by it, for as long as this process runs."""
    if recipe.name not in _RECIPES:
        _RECIPES[recipe.name] = lambda: recipe


def summary(name: str) -> str:
    """One line on what the recipe `name` is for."""
    get(name)
    return (_RECIPES[name].__doc__ or "").partition("\n")[0]
