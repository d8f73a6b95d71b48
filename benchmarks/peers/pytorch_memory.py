# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "torchvision"]
#
# [[tool.bench]]
# name = "PyTorch: in memory, bf16, channels_last"
# tasks = ["train_256", "train_64"]
#
# [[tool.bench]]
# name = "PyTorch: in memory, eager, fp32"
# tasks = ["evaluate_memory", "latency"]
# ///
"""Plain PyTorch with everything its documentation advises for a CPU, on images in memory.

After the "Performance Tuning Guide" and the recipes on channels_last and automatic mixed precision: no `DataLoader`
but indexing into a uint8 tensor, torchvision's transforms v2 on whole batches (one crop and one flip a batch),
channels_last, bf16 autocast, the fused optimiser. Evaluation and latency are fp32, as is usual, in inference mode;
both begin at uint8 pixels. `torch.compile` is left out: it was slower on the CPU tried.
"""

import numpy as np
import torch
from _common import MEAN, STD, Clock, arguments, batch_size, images_per_s, latency_ms, report
from _tiny_alexnet import tiny_alexnet
from torch import nn
from torchvision.transforms import v2

TO_FLOAT = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]


def train_steps(x_NCHW, y_N, batch):
    transform = v2.Compose([v2.RandomCrop(32, padding=2), v2.RandomHorizontalFlip(), *TO_FLOAT])
    model = tiny_alexnet().to(memory_format=torch.channels_last)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    model.train()
    while True:
        for index_B in torch.randperm(len(y_N)).split(batch):
            x = transform(x_NCHW[index_B]).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_fn(model(x), y_N[index_B])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield len(index_B)


def evaluation_passes(x_NCHW, y_N):
    transform = v2.Compose(TO_FLOAT)
    model = tiny_alexnet().to(memory_format=torch.channels_last).eval()
    loss_fn = nn.CrossEntropyLoss(reduction="sum")
    while True:
        correct, loss = 0, 0.0
        with torch.inference_mode():
            for x, y in zip(x_NCHW.split(500), y_N.split(500), strict=True):
                scores = model(transform(x).contiguous(memory_format=torch.channels_last))
                loss += loss_fn(scores, y).item()
                correct += (scores.argmax(1) == y).sum().item()
        yield len(y_N)


def one_image(pixels_HWC):
    transform = v2.Compose([v2.ToImage(), *TO_FLOAT])
    model = tiny_alexnet().eval()

    def classify():
        with torch.inference_mode():
            return model(transform(pixels_HWC)[None]).softmax(1)[0].topk(5)

    return classify


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    images = np.load(args.arrays)
    if args.task == "latency":
        figure = {"latency_ms": latency_ms(one_image(images["x_test"][0]), args.seconds)}
    else:
        split = "test" if args.task == "evaluate_memory" else "train"
        x_NCHW = torch.from_numpy(images[f"x_{split}"]).permute(0, 3, 1, 2)  # channels_last, as it lies in memory
        y_N = torch.from_numpy(images[f"y_{split}"])
        steps = evaluation_passes(x_NCHW, y_N) if split == "test" else train_steps(x_NCHW, y_N, batch_size(args.task))
        figure = {"images_per_s": images_per_s(steps, Clock(args.seconds))}
    report(["torch", "torchvision", "numpy"], **figure)


if __name__ == "__main__":
    main()
