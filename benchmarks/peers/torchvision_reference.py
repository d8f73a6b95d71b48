# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "torchvision"]
#
# [[tool.bench]]
# name = "torchvision's reference training, fp32"
# tasks = ["train_256", "train_64"]
# ///
"""The loop of torchvision's reference script for classification (`references/classification/train.py`).

The script is not part of the installed package; this is what it does for `--device cpu --workers 2 --batch-size B
--train-crop-size 32`, all else at its defaults: `ImageFolder`, its training preset on PIL images (a crop of random
size and shape, a flip, normalisation), a `DataLoader`, SGD with momentum, and loss and accuracies read at each step.
fp32: the script's mixed precision is for GPUs alone.
"""

import time
from collections import defaultdict, deque

import torch
from _common import MEAN, STD, Clock, arguments, batch_size, images_per_s, report
from _tiny_alexnet import tiny_alexnet
from torch import nn
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import InterpolationMode


def accuracy(scores_NK, y_N, topk):
    """Percentage right among the best k, for each k."""
    best_TN = scores_NK.topk(max(topk), dim=1).indices.t()
    right_TN = best_TN == y_N[None]
    return [right_TN[:k].flatten().sum(dtype=torch.float32) * (100.0 / len(y_N)) for k in topk]


def train_one_epoch(model, loss_fn, optimizer, loader):
    model.train()
    meters = defaultdict(lambda: deque(maxlen=20))
    for x, y in loader:
        start_s = time.time()
        scores = model(x)
        loss = loss_fn(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        top1, top5 = accuracy(scores, y, topk=(1, 5))
        meters["loss"].append(loss.item())
        meters["acc1"].append(top1.item())
        meters["acc5"].append(top5.item())
        meters["img/s"].append(len(x) / (time.time() - start_s))
        yield len(x)


def steps(folder, batch):
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, interpolation=InterpolationMode.BILINEAR, antialias=True),
            transforms.RandomHorizontalFlip(0.5),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(MEAN, STD),
        ]
    )
    dataset = ImageFolder(folder, transform)
    loader = DataLoader(dataset, batch_size=batch, sampler=RandomSampler(dataset), num_workers=2)
    model = tiny_alexnet()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
    while True:
        yield from train_one_epoch(model, loss_fn, optimizer, loader)
        scheduler.step()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    rate = images_per_s(steps(args.data / "train", batch_size(args.task)), Clock(args.seconds))
    report(["torch", "torchvision"], images_per_s=rate)


if __name__ == "__main__":
    main()
