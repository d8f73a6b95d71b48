"""The network of a run with its first weights, and whether recipe, data and network fit together."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet import models
from alexnet.card import ModelCard, Preprocessing
from alexnet.config import Recipe
from alexnet.data import AnyImages, Dataset, channel_statistics
from alexnet.data.loading.plan import seed_for
from alexnet.data.transforms.augment import Normalizer
from alexnet.distributed import World
from alexnet.errors import UserError
from alexnet.plain import to_dict
from alexnet.weights import CUSTOM, PretrainedWeights

_MODEL_OPTIONS = ("activation", "dropout", "norm", "pool_px", "towers", "variant", "without")
_WHITENING_PIXELS = 2000 * 32 * 32  # 2000 images of 32 px, 40 of 224 px


def check_options(recipe: Recipe, module: nn.Module | None) -> None:
    """Raise `UserError` for model options that the network does not have, before any image is read."""
    if module is None:
        with torch.device("meta"):
            models.create(recipe.model.name, **_chosen_options(recipe))
        return
    for name, is_used in {
        "pretrained": recipe.pretrained is not None,
        "freeze": recipe.freeze != "none",
        "layer_decay": recipe.layer_decay < 1,
        "model.whiten": recipe.model.whiten,
    }.items():
        if is_used:
            raise UserError(f"{name} is for the networks of alexnet.models, and this module is your own: drop it")


def build(
    recipe: Recipe, dataset: Dataset, pretrained: PretrainedWeights | None, world: World, module: nn.Module | None
) -> tuple[nn.Module, ModelCard]:
    """The network with its first weights, and the card that will travel with them.

    Args:
        recipe: names the network and its options, where it is one of ours.
        dataset: decides classes, channels and image size.
        pretrained: trained weights to begin with.
        world: the processes that train together.
        module: the user's own network, which keeps the weights it has; None: the recipe's.

    Raises:
        UserError: recipe, data and network do not fit together; says what to change.
    """
    sizes = {
        "num_classes": len(dataset.class_names),
        "in_channels": dataset.in_channels,
        "image_px": dataset.image_px,
    }
    if module is None:
        model: nn.Module = _our_network(recipe, dataset, pretrained, sizes)
        options = {**({} if pretrained is None else pretrained.card.options), **sizes, **_chosen_options(recipe)}
    else:
        model, options = module, {"class": class_name(module), **sizes}
    _check_shares(recipe, dataset, model, world)
    preprocessing = _preprocessing(recipe, dataset, pretrained, world)
    if recipe.model.whiten:
        assert isinstance(model, models.ConvNet)
        models.whiten(model, _sample(dataset.train, preprocessing, recipe.seed))
    if module is not None:
        for side in sorted({dataset.image_px, *(recipe.train_px or ())}):
            _check_module(module, dataset, preprocessing, side)
    card = ModelCard(
        model=recipe.model.name if module is None else CUSTOM,
        options=options,
        class_names=dataset.class_names,
        preprocessing=preprocessing,
        recipe=to_dict(recipe),
    )
    return model, card


def class_name(module: nn.Module) -> str:
    """A module's class, as messages and run folders name it."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _chosen_options(recipe: Recipe) -> dict[str, object]:
    chosen = {name: getattr(recipe.model, name) for name in _MODEL_OPTIONS}
    return {name: value for name, value in chosen.items() if value is not None}


def _our_network(
    recipe: Recipe, dataset: Dataset, pretrained: PretrainedWeights | None, sizes: dict[str, int]
) -> models.ConvNet:
    known = {} if pretrained is None else pretrained.card.options
    model = models.create(recipe.model.name, **{**known, **sizes, **_chosen_options(recipe)})
    _check_sides(recipe, dataset, model)
    models.initialize(model, recipe.model.init, torch.Generator().manual_seed(seed_for(recipe.seed, "weights")))
    if pretrained is not None:
        pretrained.fill(model, dataset.class_names)
    return model


def _preprocessing(
    recipe: Recipe, dataset: Dataset, pretrained: PretrainedWeights | None, world: World
) -> Preprocessing:
    if pretrained is not None:
        mean, std = pretrained.card.preprocessing.mean, pretrained.card.preprocessing.std
    elif recipe.augment.normalize:
        mean, std = world.from_main(lambda: channel_statistics(dataset.train))
        std = tuple(max(value, 1 / 255) for value in std)  # a constant channel is left as it is
    else:
        mean, std = (0.0,) * dataset.in_channels, (1.0,) * dataset.in_channels
    if recipe.augment.raw_pixels:
        std = (1 / 255,) * dataset.in_channels
    return Preprocessing(
        image_px=dataset.image_px,
        in_channels=dataset.in_channels,
        mean=mean,
        std=std,
        resize_px=dataset.train.image_px if dataset.train.image_px > dataset.image_px else None,
        fit=dataset.fit,
    )


def _check_sides(recipe: Recipe, dataset: Dataset, model: models.ConvNet) -> None:
    """Raise `UserError` where the network does not take every size of training images."""
    px = dataset.image_px
    for side in sorted(set(recipe.train_px or ()) - {px}):
        if side > px:
            raise UserError(f"train_px must lie in 1..{px}, the images' side, but holds {side}")
        if not models.takes_images(model, dataset.in_channels, side):
            raise UserError(
                f"{recipe.model.name} made for images of {px} px cannot be given images of {side} px: "
                "drop --train-px, or take a network for any side, as cifar_alexnet is from 9 px on"
            )


def _check_shares(recipe: Recipe, dataset: Dataset, model: nn.Module, world: World) -> None:
    """Raise `UserError` where a rank would have too few images of a batch, or of a gradient accumulation step."""
    part_size = -(-min(recipe.batch_size, len(dataset.train)) // recipe.accumulate_steps)
    if part_size < world.size:
        part = "a batch" if recipe.accumulate_steps == 1 else "a gradient accumulation step"
        raise UserError(
            f"{world.size} processes cannot share the {part_size} image(s) of {part}: start {part_size} or fewer, or "
            f"set --batch-size to {world.size * recipe.accumulate_steps} or more"
        )
    if part_size < 2 * world.size and models.has_batch_norm(model):
        images = "two images" if world.size == 1 else f"{2 * world.size} images, two for each process,"
        name = recipe.model.name if isinstance(model, models.ConvNet) else class_name(model)
        raise UserError(
            f"{name} uses batch norm, which needs two images or more at once: set "
            f"--batch-size to {2 * world.size * recipe.accumulate_steps} or more, and train on {images} or more"
        )


def _check_module(module: nn.Module, dataset: Dataset, preprocessing: Preprocessing, side: int) -> None:
    """Raise `UserError` unless the user's module can be trained: one small batch is tried on a copy.

    Args:
        module: the user's own; it stays as it is, its buffers and torch's random generator included.
        dataset: gives the number of classes.
        preprocessing: how its images become input.
        side: of the images to try.
    """
    name, classes = class_name(module), len(dataset.class_names)
    some_N = torch.arange(min(len(dataset.train), 4))
    x_NCHW = Normalizer(preprocessing, torch.device("cpu"), torch.float32)(
        next(dataset.train.take(some_N).parts(len(some_N)))[:, : preprocessing.image_px, : preprocessing.image_px]
    ).contiguous()
    if side != preprocessing.image_px:
        x_NCHW = F.interpolate(x_NCHW, side)
    copied = copy.deepcopy(module).cpu().train()
    given = f"a batch of {list(x_NCHW.shape)}"
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        try:
            scores_NK = copied(x_NCHW)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"{name} cannot compute {given}: {error}") from error
        if not isinstance(scores_NK, Tensor) or not scores_NK.is_floating_point():
            got = scores_NK.dtype if isinstance(scores_NK, Tensor) else type(scores_NK).__name__
            raise UserError(f"{name} returns {got} for {given}, not scores as a tensor of floats")
        if scores_NK.shape != (len(x_NCHW), classes):
            raise UserError(
                f"{name} returns the shape {list(scores_NK.shape)} for {given}, not {[len(x_NCHW), classes]}: one "
                f"score, before softmax, for each of the {classes} classes"
            )
        if not scores_NK.isfinite().all():
            raise UserError(f"{name} returns NaN or infinity for {given}: look at its weights and layers")
        loss = F.cross_entropy(scores_NK.float(), dataset.train.labels_N[some_N])
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    if not any(p.grad is not None for p in copied.parameters()):
        raise UserError(f"no gradient reaches the parameters of {name}: is it detached, or requires_grad off?")


def _sample(images: AnyImages, preprocessing: Preprocessing, seed: int) -> Tensor:
    """Some training images, as the network is given them: enough to know the statistics of their patches."""
    order_N = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_for(seed, "whiten")))
    normalize = Normalizer(preprocessing, torch.device("cpu"), torch.float32)
    some = images.take(order_N[: max(1, _WHITENING_PIXELS // images.image_px**2)])
    return normalize(next(some.parts(len(some))))
