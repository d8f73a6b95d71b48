"""A run: data, length, network and everything else that decides its outcome."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from alexnet._checks import check_values, require
from alexnet.config.augment import AugmentConfig
from alexnet.config.choices import (
    Balance,
    Fit,
    Freeze,
    Precision,
)
from alexnet.config.model import ModelConfig
from alexnet.config.optimizer import OptimizerConfig, ScheduleConfig

HANG_TIMEOUT_S = 300.0
"""Of processes that train together: seconds without a step after which the one that is waited for is named."""


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
    fit: Fit = "crop"
    """How images that are not square become so: crop, the short side resized and the centre cut out; pad, the long
    side resized and the rest black; squash, both sides resized."""
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
    """Trained weights to begin with: those that come with alexnet (small, see `alexnet models`), a run folder, a file
    of weights, or torchvision:IMAGENET1K_V1 (for alexnet_owt); the last layer is reinitialised where the classes
    differ. None: fresh weights, see model.init."""
    probe: bool = False
    """Begin a reinitialised last layer as a linear probe of the pretrained features, instead of at random (Kumar
    2022)."""
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
            not self.probe or self.pretrained is not None,
            "probe fits the last layer to pretrained features: name trained weights with pretrained",
        )
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
