"""What a run is: frozen dataclasses of plain values.

This module imports neither torch nor numpy, so the command line can read every recipe without waiting for them.
A value that cannot be used raises `UserError` when the object is made, with the fix in the message; nothing is
ignored silently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from alexnet._checks import check_values, refuse_unused, require

ModelName = Literal[
    "tiny_alexnet",
    "cifar_alexnet",
    "small_alexnet",
    "convnet_2012",
    "alexnet",
    "alexnet_2012",
    "alexnet_owt",
    "lenet",
]
Activation = Literal["relu", "tanh", "sigmoid", "elu", "leaky_relu", "gelu"]
Init = Literal["xavier", "gaussian", "gaussian_source", "kaiming"]
Norm = Literal["response", "batch", "none"]
Towers = Literal["one", "two", "half"]
Variant = Literal["paper", "source"]
MiddleLayer = Literal["conv2", "conv3", "conv4", "conv5"]
OptimizerName = Literal["sgd", "sgd_2012", "adamw", "muon"]
Flip = Literal["none", "random", "alternating"]
CropBorder = Literal["black", "reflect"]
ColorSource = Literal["train", "imagenet"]
Freeze = Literal["none", "features", "body"]
Balance = Literal["none", "sampling", "weights"]
ScheduleName = Literal["constant", "step", "cosine", "one_cycle", "plateau"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


HANG_TIMEOUT_S = 300.0
"""Of processes that train together: seconds without a step after which the one that is waited for is named."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network; the number of classes, the channels and the image size come from the data."""

    name: ModelName = "tiny_alexnet"
    """Network, see `alexnet models`."""
    activation: Activation | None = None
    """Activation function; None: the network's own (tanh for lenet, gelu for cifar_alexnet and small_alexnet, relu
    elsewhere)."""
    dropout: float | None = None
    """Share of units dropped in the hidden dense layers, in [0, 1); None: the network's own (0.5; 0 in
    cifar_alexnet, small_alexnet, convnet_2012 and lenet)."""
    norm: Norm | None = None
    """convnet_2012: what follows the first two poolings: response (the paper's, across maps), batch or none;
    None: response."""
    pool_px: int | None = None
    """convnet_2012: side of the pooling windows, which lie 2 px apart: 3 (overlapping) or 2; None: 3."""
    towers: Towers | None = None
    """cifar_alexnet: one; two, which meet in conv3 alone (the paper's two GPUs); half, one of these by itself;
    None: one."""
    without: MiddleLayer | None = None
    """cifar_alexnet: a convolution left out; None: none."""
    init: Init = "kaiming"
    """First weights: xavier (the tutorial), gaussian (0.01, the paper), gaussian_source (0.01, but 0.03 in conv3 to
    conv5: the paper's own code) or kaiming (He 2015)."""
    variant: Variant | None = None
    """alexnet_2012: layers as the paper prints them, or as its authors' code (source) has them; None: paper."""
    whiten: bool = False
    """Begin the first convolution with the principal components of training patches, whitened (Page 2019)."""

    def __post_init__(self) -> None:
        check_values(self, "model.")
        require(
            self.dropout is None or 0 <= self.dropout < 1,
            f"model.dropout must lie in [0, 1), not {self.dropout}",
        )
        require(
            self.variant is None or self.name == "alexnet_2012",
            f"model.variant is not used by {self.name} (it belongs to alexnet_2012): drop it",
        )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training images are varied and how all images are scaled."""

    crop_padding_px: int = 0
    """Border put around an image before a random crop back to its size; 0: no random crop."""
    crop_border: CropBorder = "black"
    """What the border shows: black, or the image reflected at its edge."""
    crop_scale: float = 1.0
    """Show a random rectangle of each image, of at least this share of its area and of sides in the ratio 3/4 to 4/3,
    resized to the whole (Szegedy 2015; torchvision's RandomResizedCrop); 1: none."""
    flip: Flip = "none"
    """Mirror images left to right: random, each with probability 1/2; alternating, each in every other epoch,
    the first drawn at random, so that two epochs show both sides of all (Jordan 2024)."""
    cutout_px: int = 0
    """Side of a square, centred anywhere in the image, that is set to the mean colour (DeVries 2017), or to black
    where pixels are not normalised; 0: none."""
    pca_color: float = 0.0
    """Shift the colour of each image along the principal components of the pixels' colours, by their variance times a
    draw of this standard deviation, anew at every use (Krizhevsky 2012, section 4.1: 0.1); 0: none."""
    pca_color_of: ColorSource = "train"
    """Whose components: the training split's own, or ImageNet's as they were published."""
    mixup: float = 0.0
    """Blend each image and its label with those of its neighbour in the batch, by a share drawn from a beta
    distribution of this parameter (Zhang 2018: 0.2); 0: none."""
    cutmix: float = 0.0
    """Instead put a rectangle of the neighbour into each image, its share drawn likewise (Yun 2019: 1); with mixup
    also set, each image takes one of the two by chance; 0: none."""
    normalize: bool = True
    """Subtract the training split's channel means and divide by its standard deviations; False: pixels in 0..1."""
    raw_pixels: bool = False
    """Leave pixels on their scale of 0..255: normalising subtracts the means alone (Krizhevsky 2012, section 2)."""

    def __post_init__(self) -> None:
        check_values(self, "augment.")
        require(self.crop_padding_px >= 0, "augment.crop_padding_px cannot be negative")
        require(self.cutout_px >= 0, "augment.cutout_px cannot be negative")
        require(0 < self.crop_scale <= 1, f"augment.crop_scale must lie in (0, 1], 1 for none, not {self.crop_scale}")
        require(
            self.crop_padding_px > 0 or self.crop_border == "black",
            "augment.crop_border is not used without a border: set augment.crop_padding_px above 0",
        )
        for name in ("pca_color", "mixup", "cutmix"):
            require(getattr(self, name) >= 0, f"augment.{name} cannot be negative; 0: none")
        require(
            self.pca_color > 0 or self.pca_color_of == "train",
            "augment.pca_color_of is not used without a shift of colours: set augment.pca_color above 0",
        )


_OPTIMIZER_FIELDS: dict[str, set[str]] = {
    "sgd": {"momentum", "nesterov"},
    "sgd_2012": {"momentum", "bias_lr"},
    "adamw": {"betas"},
    "muon": {"momentum", "nesterov", "normalize", "other_lr", "other_weight_decay"},
}
_SCHEDULE_FIELDS: dict[str, set[str]] = {
    "constant": {"warmup_epochs"},
    "step": {"warmup_epochs", "factor", "step_epochs"},
    "cosine": {"warmup_epochs"},
    "one_cycle": {"warmup_epochs"},
    "plateau": {"warmup_epochs", "factor", "patience_epochs", "max_drops"},
}


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimiser and its step size. Fields left None take the optimiser's own default."""

    name: OptimizerName = "sgd"
    """sgd; sgd_2012 (the paper's rule: rate and decay inside the velocity); adamw (decoupled decay); muon
    (orthogonalised momentum for the weights of hidden layers; sgd with Nesterov's momentum 0.9 for the first and
    last layer and all biases)."""
    lr: float = 0.05
    """Learning rate at the schedule's peak."""
    other_lr: float | None = None
    """muon: peak rate of what sgd does; None: lr."""
    normalize: bool | None = None
    """muon: in place of decaying a hidden weight, scale it before each step so that its rows have length 1 in the
    root mean square, for networks whose hidden layers are all normed; None: no."""
    bias_lr: float | None = None
    """sgd_2012: peak rate of biases, twice lr in the authors' code; None: lr, as in the paper."""
    weight_decay: float = 5e-4
    """L2 penalty (sgd, sgd_2012) or decoupled decay (adamw, muon)."""
    other_weight_decay: float | None = None
    """muon: L2 penalty of what sgd does; None: weight_decay."""
    decay_biases: bool = False
    """Also decay biases, as MXNet Gluon does."""
    momentum: float | None = None
    """sgd, sgd_2012, muon: momentum; None: 0.9."""
    nesterov: bool | None = None
    """sgd, muon: Nesterov's momentum; None: yes, where there is momentum."""
    betas: tuple[float, float] | None = None
    """adamw: decay rates of the two moments; None: 0.9 0.999."""

    def __post_init__(self) -> None:
        check_values(self, "optimizer.")
        require(self.lr > 0, f"optimizer.lr must be positive, not {self.lr}")
        require(self.weight_decay >= 0, f"optimizer.weight_decay cannot be negative: {self.weight_decay}")
        require(
            self.momentum is None or 0 <= self.momentum < 1,
            f"optimizer.momentum must lie in [0, 1), not {self.momentum}",
        )
        require(
            not (self.nesterov and self.momentum == 0),
            "optimizer.nesterov needs momentum: set optimizer.momentum above 0",
        )
        require(self.other_lr is None or self.other_lr > 0, f"optimizer.other_lr must be positive: {self.other_lr}")
        require(self.bias_lr is None or self.bias_lr > 0, f"optimizer.bias_lr must be positive: {self.bias_lr}")
        require(
            self.other_weight_decay is None or self.other_weight_decay >= 0,
            f"optimizer.other_weight_decay cannot be negative: {self.other_weight_decay}",
        )
        require(
            self.betas is None or all(0 <= beta < 1 for beta in self.betas),
            f"optimizer.betas must lie in [0, 1), not {self.betas}",
        )
        refuse_unused("optimizer", self, _OPTIMIZER_FIELDS)


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Learning rate over the run. Fields left None take the schedule's own default."""

    name: ScheduleName = "one_cycle"
    """constant; step (times factor at step_epochs); cosine to 0; one_cycle (linear up, linear down to 0);
    plateau (times factor when the validation error stops falling, as in Krizhevsky 2012, section 5)."""
    warmup_epochs: float | None = None
    """Epochs of linear rise from 0 to the peak; None: a quarter of the run for one_cycle, else 0."""
    step_epochs: tuple[int, ...] | None = None
    """step: epochs after which the rate drops; None: at 1/2 and 3/4 of the run."""
    factor: float | None = None
    """step, plateau: what the rate is multiplied by; None: 0.1."""
    patience_epochs: int | None = None
    """plateau: epochs without a better validation error before a drop; None: 5."""
    max_drops: int | None = None
    """plateau: the most drops; None: 3, as the paper."""

    def __post_init__(self) -> None:
        check_values(self, "schedule.")
        require(self.warmup_epochs is None or self.warmup_epochs >= 0, "schedule.warmup_epochs cannot be negative")
        require(
            self.step_epochs is None or min(self.step_epochs, default=0) >= 1,
            "schedule.step_epochs needs one or more epochs, from 1 on; None: at 1/2 and 3/4 of the run",
        )
        require(self.factor is None or 0 < self.factor < 1, "schedule.factor must lie in (0, 1)")
        require(
            self.patience_epochs is None or self.patience_epochs >= 1,
            "schedule.patience_epochs must be 1 or more",
        )
        require(self.max_drops is None or self.max_drops >= 0, "schedule.max_drops cannot be negative")
        refuse_unused("schedule", self, _SCHEDULE_FIELDS)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a run's outcome, but for the images themselves."""

    name: str
    """Name of the recipe this one derives from."""
    data: str = "cifar10"
    """Images: the name of a source (cifar10, cifar100, fashion_mnist, mnist, digits, hf:owner/name) or a folder of
    class folders."""
    epochs: int = 10
    """Passes over the training images."""
    batch_size: int = 128
    """Images a step of the optimiser sees, over all processes."""
    accumulate_steps: int = 1
    """Parts a batch is computed in, to save memory; the result is that of the whole batch, but for networks with
    batch norm, which norms each part, and in several processes each one's share of it."""
    seed: int = 0
    """Decides the first weights, the order of images, augmentation and dropout; the validation cut does not
    depend on it."""
    val_fraction: float = 0.1
    """Share of the training images held out, per class, to watch the run; 0: train on all of them."""
    train_images: int | None = None
    """Training images used, in the classes' shares and drawn with the seed; fewer are part of more; None: all that
    are not held out."""
    image_px: int | None = None
    """Side that images are brought to; None: their own where all share one of at most 64 px, else the network's."""
    resize_px: int | None = None
    """Side of the squares that images are brought to, of which training shows random parts of image_px and evaluation
    the centre (Krizhevsky 2012, sections 2 and 4.1: 256 for 224); None: image_px."""
    train_px: tuple[int, ...] | None = None
    """Sides that training images are shrunk to over the run, each for an equal share of the epochs, e.g. 20 24 32;
    None: image_px throughout. Evaluation is always at image_px."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over the classes, in [0, 1)."""
    ema_decay: float | None = None
    """Evaluate and keep an exponential moving average of the weights, with this decay a step; None: the last
    weights."""
    grad_clip_norm: float | None = None
    """Longest gradient taken as it is; longer ones are scaled to this length."""
    stop_at_chance_epochs: int = 5
    """Stop when the loss is still at chance level after this many epochs, and 500 steps; 0: never."""
    open_test: bool = True
    """Measure the result on the test split; False: on the held-out images, so that trials leave it unseen."""
    checkpoint_every_s: float = 300.0
    """Seconds between checkpoints within an epoch; each epoch's end is kept too, but for large networks on few images
    only as often as saving takes a tenth of the time."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), or a device's name."""
    precision: Precision = "auto"
    """Numbers the network computes in; weights stay fp32. auto: bf16 where the device has it in hardware."""
    compile: bool = False
    """Compile the network (torch.compile): takes a minute first; for GPUs, as CPUs are slower with it."""
    threads: int | None = None
    """Threads of each process on the CPU; None: as many as it may run on, those of one host sharing its CPUs."""
    pretrained: str | None = None
    """Trained weights to begin with: torchvision:IMAGENET1K_V1 (for alexnet_owt), a run folder or a file of weights;
    the last layer is reinitialised where the classes differ. None: fresh weights, see model.init."""
    freeze: Freeze = "none"
    """Layers that keep the weights of pretrained: none, the convolutions (features), or all but the last (body)."""
    freeze_epochs: int | None = None
    """Epochs after which the frozen layers learn too; None: never."""
    layer_decay: float = 1.0
    """Learning rate of each layer as a share of that of the layer after it, in (0, 1]."""
    balance: Balance = "none"
    """For classes of uneven size: show all equally often (sampling), or weigh each image by what its class lacks
    (weights)."""
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def __post_init__(self) -> None:
        check_values(self)
        require(self.seed >= 0, f"seed cannot be negative: {self.seed}")
        require(self.epochs >= 1, f"epochs must be 1 or more, not {self.epochs}")
        require(self.batch_size >= 1, f"batch_size must be 1 or more, not {self.batch_size}")
        require(
            1 <= self.accumulate_steps <= self.batch_size,
            f"accumulate_steps must lie in 1..batch_size ({self.batch_size}), not {self.accumulate_steps}",
        )
        require(0 <= self.val_fraction < 1, f"val_fraction must lie in [0, 1), not {self.val_fraction}")
        require(0 <= self.label_smoothing < 1, "label_smoothing must lie in [0, 1)")
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            "ema_decay must lie in (0, 1), or be None for no averaging",
        )
        require(self.grad_clip_norm is None or self.grad_clip_norm > 0, "grad_clip_norm must be positive")
        require(self.train_images is None or self.train_images >= 1, "train_images must be 1 or more")
        require(self.image_px is None or self.image_px >= 1, "image_px must be 1 or more")
        require(
            self.train_px is None or 1 <= len(self.train_px) <= self.epochs,
            f"train_px needs one side or more, and no more than epochs ({self.epochs})",
        )
        require(self.resize_px is None or self.resize_px >= 1, "resize_px must be 1 or more")
        require(
            self.resize_px is None or self.image_px is None or self.resize_px >= self.image_px,
            f"resize_px ({self.resize_px}) must be at least image_px ({self.image_px})",
        )
        largest_px = self.image_px or math.inf
        require(
            self.train_px is None or all(1 <= px <= largest_px for px in self.train_px),
            f"train_px must lie in 1..image_px: {self.train_px}",
        )
        require(
            self.open_test or self.val_fraction > 0,
            "without the test split the result is measured on held-out images: set val_fraction above 0",
        )
        require(self.stop_at_chance_epochs >= 0, "stop_at_chance_epochs cannot be negative; 0: never stop")
        require(self.checkpoint_every_s > 0, "checkpoint_every_s must be positive")
        require(self.threads is None or self.threads >= 1, "threads must be 1 or more")
        require(
            self.schedule.name != "plateau" or self.val_fraction > 0,
            "the plateau schedule watches the validation error: set val_fraction above 0",
        )
        require(0 < self.layer_decay <= 1, f"layer_decay must lie in (0, 1], not {self.layer_decay}")
        self._check_pretrained()
        warmup_epochs = self.schedule.warmup_epochs
        require(
            warmup_epochs is None or warmup_epochs <= self.epochs,
            f"schedule.warmup_epochs ({warmup_epochs}) is longer than the run of {self.epochs} epochs",
        )

    def _check_pretrained(self) -> None:
        """What goes with trained first weights, and what does not."""
        require(
            self.freeze == "none" or self.pretrained is not None,
            f"freeze {self.freeze} keeps the first weights, which would be random: name trained ones with pretrained",
        )
        require(
            self.freeze_epochs is None or self.freeze != "none",
            "freeze_epochs is not used while nothing is frozen: set freeze to features or body",
        )
        require(
            self.freeze_epochs is None or 1 <= self.freeze_epochs < self.epochs,
            f"freeze_epochs must lie in 1..{self.epochs - 1}, less than epochs; None: frozen to the end",
        )
        if self.pretrained is not None:
            require(
                self.augment.normalize,
                "pixels are scaled as the pretrained weights are used to: leave augment.normalize on",
            )
            require(
                not self.augment.raw_pixels,
                "pixels are scaled as the pretrained weights are used to: leave augment.raw_pixels off",
            )
            require(
                not self.model.whiten,
                "model.whiten would replace the first layer of the pretrained weights: drop one of the two",
            )
