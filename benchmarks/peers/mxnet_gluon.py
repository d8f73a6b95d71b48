# /// script
# requires-python = ">=3.8,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5"]
#
# [[tool.bench]]
# name = "MXNet Gluon, the tutorial's loop"
# tasks = ["train_256", "train_64"]
# arguments = ["--tuned", "no"]
#
# [[tool.bench]]
# name = "MXNet Gluon, the tutorial's loop, threads set"
# tasks = ["train_256", "train_64"]
# arguments = ["--tuned", "threads"]
#
# [[tool.bench]]
# name = "MXNet Gluon, hybridized, threads set"
# tasks = ["train_256", "train_64"]
# arguments = ["--tuned", "all"]
# ///
"""The tutorial's loop in the framework it was written for, MXNet 1.9.1 with Gluon.

After `benchmarks/tutorial_mxnet.py`, which repeats the tutorial's runs: the network runs layer by layer, and the
number of threads is left to MXNet, which takes half of the cores. The other two are what its documentation advises
for speed: OMP_NUM_THREADS set to the number of cores ("Some Tips for Improving MXNet Performance"), as it is for all
other contenders; and the network hybridized with static memory and shapes besides ("Gluon: from experiment to
deployment"). Where there is a choice it is the faster one: images wait in memory as fp32, already scaled and in
MXNet's layout, instead of being converted one by one by Gluon's `DataLoader`, and there are no crops or flips. The
loss is read after each step, as in the tutorial; without that, MXNet's queue of work grows without end.
"""

import os

import numpy as np
from _common import Clock, arguments, batch_size, check_parameters, images_per_s, report

ARGS = arguments("tuned")
if ARGS.tuned == "no":
    os.environ.pop("OMP_NUM_THREADS", None)  # read when mxnet is imported

import mxnet as mx  # noqa: E402
from mxnet import autograd, gluon, init, nd  # noqa: E402


def tiny_alexnet(hybridize):
    net = gluon.nn.HybridSequential()
    net.add(
        gluon.nn.Conv2D(32, kernel_size=5, padding=2, activation="relu"),
        gluon.nn.MaxPool2D(pool_size=2, strides=2),
        gluon.nn.Conv2D(32, kernel_size=3, padding=1, activation="relu"),
        gluon.nn.Conv2D(32, kernel_size=3, padding=1, activation="relu"),
        gluon.nn.MaxPool2D(pool_size=2, strides=2),
        gluon.nn.Dense(256, activation="relu"),
        gluon.nn.Dropout(0.5),
        gluon.nn.Dense(256, activation="relu"),
        gluon.nn.Dropout(0.5),
        gluon.nn.Dense(10),
    )
    net.initialize(init.Xavier())
    if hybridize:
        net.hybridize(static_alloc=True, static_shape=True)
    net(nd.zeros((2, 3, 32, 32)))  # shapes are known after the first images
    check_parameters(sum(int(np.prod(p.shape)) for p in net.collect_params().values()))
    return net


def steps(net, x_NCHW, y_N, batch):
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01, "wd": 0.001, "momentum": 0.9})
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    rng = np.random.default_rng(0)
    while True:
        order_N = rng.permutation(len(y_N))
        total_loss = 0.0
        for start in range(0, len(order_N), batch):
            index_B = order_N[start : start + batch]
            x_BCHW, y_B = nd.array(x_NCHW[index_B]), nd.array(y_N[index_B])
            with autograd.record():
                loss_B = loss(net(x_BCHW), y_B)
            loss_B.backward()
            trainer.step(batch)
            total_loss += float(loss_B.sum().asscalar())
            yield len(index_B)


def main():
    mx.random.seed(0)
    images = np.load(ARGS.arrays)
    x_NCHW = np.ascontiguousarray(images["x_train"].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    y_N = images["y_train"].astype(np.float32)
    work = steps(tiny_alexnet(ARGS.tuned == "all"), x_NCHW, y_N, batch_size(ARGS.task))
    rate = images_per_s(work, Clock(ARGS.seconds, wait=nd.waitall))
    report(["mxnet", "numpy"], images_per_s=rate)


if __name__ == "__main__":
    main()
