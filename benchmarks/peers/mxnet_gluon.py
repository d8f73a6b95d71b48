# /// script
# requires-python = ">=3.8,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5"]
#
# [[tool.bench]]
# name = "MXNet Gluon"
# tasks = ["train_256", "train_64"]
# ///
"""The tutorial's loop in the framework it was written for, MXNet 1.9.1 with Gluon.

After "Gluon: from experiment to deployment" in MXNet's documentation, and `benchmarks/tutorial_mxnet.py`, which
repeats the tutorial's runs. Where there is a choice it is the faster one: the network is hybridized with static
memory and shapes (the documentation's advice for speed), images wait in memory as fp32, already scaled and in
MXNet's layout, instead of being converted one by one by Gluon's `DataLoader`, and there are no crops or flips. The
loss is read after each step, as the tutorial does; without that, MXNet's queue of work grows without end.
"""

import mxnet as mx
import numpy as np
from _common import Clock, arguments, batch_size, check_parameters, images_per_s, report
from mxnet import autograd, gluon, init, nd


def tiny_alexnet():
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
    args = arguments()
    mx.random.seed(0)
    images = np.load(args.arrays)
    x_NCHW = np.ascontiguousarray(images["x_train"].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    y_N = images["y_train"].astype(np.float32)
    work = steps(tiny_alexnet(), x_NCHW, y_N, batch_size(args.task))
    rate = images_per_s(work, Clock(args.seconds, wait=nd.waitall))
    report(["mxnet", "numpy"], images_per_s=rate)


if __name__ == "__main__":
    main()
