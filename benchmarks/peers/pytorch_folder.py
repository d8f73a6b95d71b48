# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "torchvision"]
#
# [[tool.bench]]
# name = "PyTorch: ImageFolder, 2 workers, fp32"
# tasks = ["train_256", "train_64", "evaluate_files"]
# ///
"""The idiomatic PyTorch loop: a folder of images, transforms v2, a `DataLoader` with workers, fp32.

After PyTorch's "Quickstart" (the loops), torchvision's "Getting started with transforms v2" (tensors in uint8 first,
floats last, as its notes on performance advise) and the "Performance Tuning Guide" (several workers, kept from epoch
to epoch). Training crops from a border of 2 px, flips and normalises; the loss is read every hundredth step. The
evaluation is one pass over the test images, from starting its workers to the accuracy.
"""

import torch
from _common import MEAN, STD, Clock, arguments, batch_size, images_per_s, report
from _tiny_alexnet import tiny_alexnet
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

WORKERS = 2
TO_FLOAT = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]


def train_steps(folder, batch):
    transform = v2.Compose([v2.ToImage(), v2.RandomCrop(32, padding=2), v2.RandomHorizontalFlip(), *TO_FLOAT])
    loader = DataLoader(
        ImageFolder(folder, transform), batch_size=batch, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    model = tiny_alexnet()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    while True:
        for step, (x, y) in enumerate(loader):
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if step % 100 == 0:
                loss.item()
            yield len(x)


def evaluation_passes(folder):
    transform = v2.Compose([v2.ToImage(), *TO_FLOAT])
    loader = DataLoader(ImageFolder(folder, transform), batch_size=256, num_workers=WORKERS)
    model = tiny_alexnet().eval()
    loss_fn = nn.CrossEntropyLoss()
    while True:
        n, correct, loss = 0, 0, 0.0
        with torch.inference_mode():
            for x, y in loader:
                scores = model(x)
                loss += loss_fn(scores, y).item()
                correct += (scores.argmax(1) == y).sum().item()
                n += len(x)
        yield n


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.task == "evaluate_files":
        steps = evaluation_passes(args.data / "test")
    else:
        steps = train_steps(args.data / "train", batch_size(args.task))
    report(["torch", "torchvision"], images_per_s=images_per_s(steps, Clock(args.seconds)))


if __name__ == "__main__":
    main()
