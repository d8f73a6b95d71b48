"""The training loop."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.card import Preprocessing
from alexnet.config import Recipe
from alexnet.data import Dataset
from alexnet.data.loading.from_disk import open_loader
from alexnet.data.loading.plan import seed_for
from alexnet.data.transforms.color import color_components
from alexnet.errors import Interrupted
from alexnet.evaluation.evaluate import evaluate
from alexnet.evaluation.metrics import Evaluation
from alexnet.models import ConvNet, has_batch_norm
from alexnet.run_folder import RunFolder
from alexnet.runtime import Runtime
from alexnet.training import checkpoint
from alexnet.training.checks import chance_loss, check_finite, check_learning
from alexnet.training.control import Clock, Due, StopRequest, stop_signals
from alexnet.training.finetune import class_weights, group_by_layer, set_frozen
from alexnet.training.observer import Observer, Progress
from alexnet.training.optim.build import build_optimizers, learns
from alexnet.training.optim.ema import WeightAverage
from alexnet.training.optim.schedule import lr_scale, set_lr
from alexnet.training.parallel import batch_statistics, replicate, synchronizing
from alexnet.training.steps import is_frozen, plan_steps, train_px
from alexnet.training.totals import Totals

_SHORT_SAVE_S = 1.0  # a checkpoint that takes no longer is written after each epoch
_SAVING_SHARE = 0.1  # of the time, at most, for longer ones


class Trainer:
    """One run: a network, its data and all the state that changes while it learns.

    Args:
        recipe: what to do.
        dataset: its images; the test split is not opened.
        model: the network, freshly initialised.
        preprocessing: how pixels become its input.
        runtime: device, compute dtype, threads, and the processes that train together.
        folder: where metrics and checkpoints go.
        observer: receives progress callbacks.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        model: nn.Module,
        preprocessing: Preprocessing,
        runtime: Runtime,
        folder: RunFolder,
        observer: Observer,
    ) -> None:
        self.recipe, self.runtime, self.folder, self.observer = recipe, runtime, folder, observer
        self.world = runtime.world
        device = runtime.device
        # A module of the user's own may call view, which needs the usual layout.
        self._is_ours = isinstance(model, ConvNet)
        self.model = (model.to(memory_format=torch.channels_last) if self._is_ours else model).to(device)
        self._network: nn.Module = torch.compile(self.model) if recipe.compile else self.model  # type: ignore[assignment]
        self._replica: nn.Module | None = None
        self.colors = self.world.from_main(lambda: color_components(dataset.train, recipe.augment))
        self.train_loader = open_loader(
            dataset.train,
            preprocessing,
            device,
            runtime.dtype,
            recipe.augment,
            colors=self.colors,
            balanced=recipe.balance == "sampling",
        )
        self.preprocessing, self.dataset = preprocessing, dataset
        self.batch_size = min(recipe.batch_size, len(self.train_loader))
        smallest = 2 * self.world.size if has_batch_norm(self.model) else 1
        steps = plan_steps(len(self.train_loader), self.batch_size, recipe.accumulate_steps, smallest)
        self.parts = [[self.world.share(*part) for part in step] for step in steps]
        self.steps = len(self.parts)
        self.optimizers = build_optimizers(self.model, recipe.optimizer)
        if recipe.layer_decay < 1 or recipe.freeze != "none":
            group_by_layer(self.optimizers, self.model, recipe.layer_decay)
        self.average = WeightAverage(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=runtime.dtype == torch.float16)
        labels_N, classes = dataset.train.labels_N, len(dataset.class_names)
        self.class_weights = class_weights(labels_N, classes).to(device) if recipe.balance == "weights" else None
        seen_N = labels_N if recipe.balance == "none" else torch.unique(labels_N)
        self.chance_loss = chance_loss(seen_N, classes, recipe.label_smoothing)
        self.epoch, self.step, self.elapsed_s = 0, 0, 0.0
        self.stepping = self.optimizers
        self._images_per_s, self._data_wait = 0.0, 0.0
        self._sync_in = 1
        self._saved_at_s, self._save_s = time.monotonic(), 0.0
        self.rows: list[dict[str, Any]] = []
        self.totals = Totals(device, self.world)
        own_rank = () if self.world.is_main else (self.world.rank,)  # so that ranks drop other units
        torch.manual_seed(seed_for(recipe.seed, "dropout", *own_rank))

    def run(self) -> list[dict[str, Any]]:
        """Train to the last epoch; returns the rows of metrics.jsonl.

        The network ends in eval mode, with the averaged weights where the recipe averages them.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; a checkpoint of this very step is on disk.
            TrainingFailedError: the loss is not finite, or the network stays at chance level.
        """
        with stop_signals(once=self.world.size == 1) as stop:
            while self.epoch < self.recipe.epochs:
                self._train_epoch(stop)
                self._finish_epoch()
        if self.average is not None:
            self.average.swap()
        self.model.eval()
        return self.rows

    def _train_epoch(self, stop: StopRequest) -> None:
        recipe, loader = self.recipe, self.train_loader
        network = self._prepare()
        self.stepping = [optimizer for optimizer in self.optimizers if learns(optimizer)]
        plan = loader.plan(recipe.seed, self.epoch, train_px(recipe, self.epoch))
        val_errors = [1 - row["val_top1"] for row in self.rows if row["val_top1"] is not None]
        clock = Clock(self.elapsed_s, self.totals.images(), recipe.checkpoint_every_s)
        batches = loader.batches(plan, [part for step in self.parts[self.step :] for part in step])
        waited_s = loader.wait_s

        while self.step < self.steps:
            set_lr(self.optimizers, lr_scale(recipe, self.epoch + self.step / self.steps, val_errors))
            self._at("its own images")
            for part, (x_NCHW, y_N) in zip(self.parts[self.step], batches, strict=False):
                is_last = part == self.parts[self.step][-1]
                target = y_N  # classes [N], or where images are mixed their shares [N, K]
                if plan.mixing is not None:
                    x_NCHW, target = plan.mixing(x_NCHW, y_N, len(self.dataset.class_names), *part)
                with synchronizing(network, now=is_last):
                    with self.runtime.autocast():
                        scores_NK = network(x_NCHW if self._is_ours else x_NCHW.contiguous()).float()
                        losses = F.cross_entropy(
                            scores_NK,
                            target,
                            self.class_weights,
                            reduction="sum",
                            label_smoothing=recipe.label_smoothing,
                        )
                    # Images of the last, short batch weigh as others do (as by Gluon's trainer.step(batch_size)).
                    self._at("the sum of gradients")
                    self.scaler.scale(losses / self.batch_size).backward()  # type: ignore[no-untyped-call]
                self.totals.add(losses.detach(), scores_NK.detach(), y_N)
            self._update_weights()
            self.step += 1

            due = self._due(clock, stop)
            if due.report or due.stop.signal:
                self.elapsed_s = clock.elapsed_s()
                self._report(clock)
            if due.checkpoint or due.stop.signal:
                self.elapsed_s = clock.elapsed_s()
                self._check_finite()
                self.save()
            if due.stop.signal:
                raise Interrupted(f"stopped; continue with: {self._resume_command()}", due.stop.signal)
        self.elapsed_s = clock.elapsed_s()
        self._images_per_s = self._report(clock)
        self._data_wait = (loader.wait_s - waited_s) / clock.seconds()

    def _prepare(self) -> nn.Module:
        """The network, ready to learn what it is to learn in the epoch under way."""
        self.model.train()
        if self.recipe.freeze != "none":
            set_frozen(self.model, self.recipe.freeze if is_frozen(self.recipe, self.epoch) else "none")
            if self.epoch == self.recipe.freeze_epochs:
                self._replica = None
        if self._replica is None:  # `or` would ask a compiled network for its length
            self._replica = replicate(self._network, self.world, self.recipe.accumulate_steps)
        self._sync_in = 1
        return self._replica

    def _at(self, what: str) -> None:
        if self.world.size > 1:
            self.world.at(f"epoch {self.epoch + 1}, step {self.step + 1}, {what}")

    def _due(self, clock: Clock, stop: StopRequest) -> Due:
        """What is to be done after this step. Clocks differ, so ranks agree on it, every few steps."""
        if self.world.size == 1:
            return Due(clock.report_due(), clock.checkpoint_due(), stop)
        self._sync_in -= 1
        if self._sync_in:
            return Due()
        self._at("the next step")
        own = (0, 0, stop.signal, 0)
        if self.world.is_main:
            own = (clock.report_due(), clock.checkpoint_due(), stop.signal, clock.steps_until_sync())
        report, is_checkpoint, signal_number, self._sync_in = self.world.largest(own)
        return Due(bool(report), bool(is_checkpoint), StopRequest(signal_number))

    def _resume_command(self) -> str:
        resume = f"alexnet train --resume {self.folder.path}"
        if self.world.local_size < self.world.size:
            return f"{resume}, launched as before"
        return resume if self.world.size == 1 else f"{resume} --processes {self.world.size}"

    def _update_weights(self) -> None:
        for optimizer in self.stepping:
            self.scaler.unscale_(optimizer)
        if self.recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip_norm)
        for optimizer in self.stepping:
            self.scaler.step(optimizer)
            optimizer.zero_grad()
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.epoch * self.steps + self.step + 1)

    def _finish_epoch(self) -> None:
        """Check the loss, look at the validation images, write the epoch's row and a checkpoint."""
        started = time.monotonic()
        loss = self._check_finite()
        _, correct, images = self.totals.read()
        self._share_statistics()
        val = self._validate()
        self.elapsed_s += time.monotonic() - started
        row = {
            "epoch": self.epoch + 1,
            "train_loss": loss,
            "train_top1": correct / images,
            "val_loss": val.loss if val else None,
            "val_top1": val.top1 if val else None,
            "images_per_s": round(self._images_per_s, 1),
            "data_wait": round(self._data_wait, 4),
            "elapsed_s": round(self.elapsed_s, 3),
            "lr": self._lr(),
        }
        self.rows.append(row)
        self.epoch, self.step = self.epoch + 1, 0
        self.totals.clear()
        if self.world.is_main:
            self.folder.append_metrics(row)
        if self.epoch == self.recipe.epochs or self._should_checkpoint():
            self.save()
        self.observer.on_epoch(row)
        check_learning(
            [row["train_loss"] for row in self.rows], self.epoch * self.steps, self.chance_loss, self.recipe
        )

    def _validate(self) -> Evaluation | None:
        val_images, names = self.dataset.val, self.dataset.class_names
        if val_images is None:
            return None
        if self.average is not None:
            self.average.swap()
        val = evaluate(self.model, val_images, names, self.preprocessing, self.runtime)
        if self.average is not None:
            self.average.swap()
        return val

    def _report(self, clock: Clock) -> float:
        """Report progress to the observer; returns images per second."""
        loss, _, images = self.totals.read()
        images_per_s = clock.images_per_s(images)
        self.observer.on_progress(
            Progress(
                epoch=self.epoch,
                epochs=self.recipe.epochs,
                step=self.step,
                steps=self.steps,
                loss=loss / images,
                images_per_s=images_per_s,
                lr=self._lr(),
            )
        )
        return images_per_s

    def _lr(self) -> float:
        """The rate of the last step; muon's, where two optimisers share the work."""
        return float(self.optimizers[0].param_groups[0]["lr"])

    def _check_finite(self) -> float:
        total, _, images = self.totals.read()
        return check_finite(total / images, self.epoch, self.recipe)

    # --- checkpoints ------------------------------------------------------------------------------------------

    def _should_checkpoint(self) -> bool:
        """Whether a checkpoint is due after an epoch: of large networks on few images, not after each."""
        pays = self._save_s < max(_SHORT_SAVE_S, _SAVING_SHARE * (time.monotonic() - self._saved_at_s))
        return self.world.from_main(lambda: pays)

    def save(self) -> None:
        """Write a checkpoint; all ranks must come here, and rank 0 writes for all."""
        started_s = time.monotonic()
        self._write_checkpoint()
        self._saved_at_s = time.monotonic()
        self._save_s = self._saved_at_s - started_s

    def _write_checkpoint(self) -> None:
        self._at("a checkpoint")
        self._share_statistics()
        totals = self.totals.over_ranks()
        own: tuple[Tensor, Tensor | None] = (torch.get_rng_state(), checkpoint.device_rng(self.runtime.device))
        _, *others = self.world.gather(own)
        if not self.world.is_main:
            return
        checkpoint.save(
            self.folder.checkpoint,
            checkpoint.TrainingState(
                epoch=self.epoch,
                step=self.step,
                elapsed_s=self.elapsed_s,
                totals=totals,
                rows=self.rows,
                model=self.model.state_dict(),
                optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
                average=self.average.average if self.average else None,
                scaler=self.scaler.state_dict(),
                rng_cpu=own[0],
                rng_device=own[1],
                rng_others=[list(other) for other in others],
            ),
        )

    def _share_statistics(self) -> None:
        """Let all ranks have the same running statistics of batch norm: the means over what each has seen."""
        if self.world.size > 1:
            average = None if self.average is None else self.average.average
            moving = [] if average is None else batch_statistics(self.model, average)
            self.world.mean_(batch_statistics(self.model) + moving)

    def restore(self, state: checkpoint.TrainingState) -> None:
        """Continue from `state` as if the run had never stopped; dropout is seeded again where ranks differ."""
        self.epoch, self.step, self.elapsed_s, self.rows = state.epoch, state.step, state.elapsed_s, state.rows
        self.totals.load(state.totals)
        self.model.load_state_dict(state.model)
        for optimizer, values in zip(self.optimizers, state.optimizers, strict=True):
            optimizer.load_state_dict(values)
        if self.average is not None and state.average is not None:
            self.average.load(state.average)
        self.scaler.load_state_dict(state.scaler)
        if self.world.is_main:
            self.folder.write_metrics(self.rows)
        if len(state.rng_others) + 1 == self.world.size:
            checkpoint.restore_rng(state, self.world.rank, self.runtime.device)
        else:
            torch.manual_seed(seed_for(self.recipe.seed, "dropout", self.epoch, self.step, self.world.rank))
