# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "torchvision"]
#
# [[tool.bench]]
# name = "torchvision.models.alexnet, bf16, channels_last"
# tasks = ["alexnet_224"]
# arguments = ["--precision", "bf16"]
#
# [[tool.bench]]
# name = "torchvision.models.alexnet, fp32"
# tasks = ["alexnet_224"]
# arguments = ["--precision", "fp32"]
# ///
"""One training step of torchvision's AlexNet at 224 px on one fixed batch of random images, over and over.

fp32 is what a first program does; bf16 adds what the "Performance Tuning Guide" advises for a CPU: channels_last and
bf16 autocast. Both use the fused optimiser.
"""

import torch
from _common import Clock, arguments, images_per_s, report
from torch import nn
from torchvision.models import alexnet

BATCH = 64


def steps(precision):
    layout = torch.channels_last if precision == "bf16" else torch.contiguous_format
    model = alexnet().to(memory_format=layout).train()
    assert sum(p.numel() for p in model.parameters()) == 61_100_840
    x = torch.randn(BATCH, 3, 224, 224).contiguous(memory_format=layout)
    y = torch.randint(1000, (BATCH,))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, fused=True)
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield len(x)


def main():
    args = arguments("precision")
    torch.set_num_threads(args.threads)
    report(["torch", "torchvision"], images_per_s=images_per_s(steps(args.precision), Clock(args.seconds)))


if __name__ == "__main__":
    main()
