"""Optimiser and learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from alexnet._checks import check_values, refuse_unused, require
from alexnet.config.choices import (
    OptimizerName,
    ScheduleName,
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
