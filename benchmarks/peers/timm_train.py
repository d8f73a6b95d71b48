# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "torchvision", "timm"]
#
# [[tool.bench]]
# name = "timm's training script, bf16, channels_last"
# tasks = ["train_256", "train_64"]
# ///
"""The loop of timm's `train.py` on a folder of images, with TinyAlexNet registered as a model.

The script is not part of the installed package; this is what it does for `train.py FOLDER --model tiny_alexnet
--input-size 3 32 32 --mean ... --std ... --workers 2 --device cpu --amp --amp-dtype bfloat16 --channels-last`, made
from the package's own parts: `create_dataset`, `create_loader` with its prefetcher and default augmentation (a crop
of random size and shape, a flip, colour jitter), label smoothing, `create_optimizer_v2`, `create_scheduler_v2`
stepped at each update. The two options for speed are those its documentation names; the loss is read at each
fiftieth step, its interval for logging.
"""

import torch
from _common import MEAN, STD, Clock, arguments, batch_size, images_per_s, report
from _tiny_alexnet import tiny_alexnet as build
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.models import create_model, register_model
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter

EPOCHS = 300  # the script's default; the clock ends it sooner


@register_model
def tiny_alexnet(pretrained=False, **options):
    """TinyAlexNet in timm's registry."""
    return build(options["num_classes"])


def loader_for(folder, model, batch):
    config = resolve_data_config({"input_size": (3, 32, 32), "mean": MEAN, "std": STD}, model=model)
    return create_loader(
        create_dataset("", root=folder, split="train", is_training=True, batch_size=batch),
        input_size=config["input_size"],
        batch_size=batch,
        is_training=True,
        scale=(0.08, 1.0),
        ratio=(3 / 4, 4 / 3),
        hflip=0.5,
        color_jitter=0.4,
        interpolation="random",
        mean=config["mean"],
        std=config["std"],
        num_workers=2,
        device=torch.device("cpu"),
        use_prefetcher=True,
        persistent_workers=True,
    )


def steps(folder, batch):
    model = create_model("tiny_alexnet", num_classes=10).to(memory_format=torch.channels_last)
    loader = loader_for(folder, model, batch)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.01, weight_decay=2e-5, momentum=0.9)
    scheduler, _ = create_scheduler_v2(optimizer, num_epochs=EPOCHS, updates_per_epoch=len(loader))
    loss_fn = LabelSmoothingCrossEntropy(0.1)
    updates = 0
    for _epoch in range(EPOCHS):
        losses = AverageMeter()
        model.train()
        optimizer.zero_grad()
        for step, (x, y) in enumerate(loader):
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            updates += 1
            if step % 50 == 0:
                losses.update(loss.item(), len(x))
            scheduler.step_update(num_updates=updates)
            yield len(x)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    rate = images_per_s(steps(args.data, batch_size(args.task)), Clock(args.seconds))
    report(["torch", "torchvision", "timm"], images_per_s=rate)


if __name__ == "__main__":
    main()
