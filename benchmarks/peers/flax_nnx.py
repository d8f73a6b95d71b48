# /// script
# requires-python = ">=3.11"
# dependencies = ["jax", "flax", "optax", "numpy"]
#
# [[tool.bench]]
# name = "JAX: Flax NNX, optax"
# tasks = ["train_256", "train_64"]
# ///
"""JAX with Flax NNX and optax, on images in memory.

After Flax's "MNIST tutorial" (module, jitted `train_step`, `nnx.Optimizer`) and its "Performance considerations"
(`nnx.cached_partial`). Batches are taken from arrays in memory as uint8; crops from a border of 2 px, flips and
scaling are part of the compiled step, an image at a time by `vmap`. JAX works ahead in the background; the clock
waits for it at both ends. fp32, JAX's default: bf16 was no faster on the CPU tried.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import MEAN, STD, Clock, arguments, batch_size, check_parameters, images_per_s, report
from flax import nnx


class TinyAlexNet(nnx.Module):
    """Scores [N, 10] of images [N, 32, 32, 3]."""

    def __init__(self, rngs):
        self.conv1 = nnx.Conv(3, 32, kernel_size=(5, 5), rngs=rngs)
        self.conv2 = nnx.Conv(32, 32, kernel_size=(3, 3), rngs=rngs)
        self.conv3 = nnx.Conv(32, 32, kernel_size=(3, 3), rngs=rngs)
        self.fc4 = nnx.Linear(32 * 8 * 8, 256, rngs=rngs)
        self.drop4 = nnx.Dropout(0.5, rngs=rngs)
        self.fc5 = nnx.Linear(256, 256, rngs=rngs)
        self.drop5 = nnx.Dropout(0.5, rngs=rngs)
        self.fc6 = nnx.Linear(256, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), strides=(2, 2))
        x = nnx.relu(self.conv2(x))
        x = nnx.max_pool(nnx.relu(self.conv3(x)), (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        x = self.drop4(nnx.relu(self.fc4(x)))
        x = self.drop5(nnx.relu(self.fc5(x)))
        return self.fc6(x)


def augment(key, pixels_NHWC):
    """Crops, flips, and floats."""
    corner_key, flip_key = jax.random.split(key)
    n, side = pixels_NHWC.shape[:2]
    padded = jnp.pad(pixels_NHWC, ((0, 0), (2, 2), (2, 2), (0, 0)))
    corners_N2 = jax.random.randint(corner_key, (n, 2), 0, 5)
    cut = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), (side, side, 3)))
    cropped = cut(padded, corners_N2)
    mirrored_N = jax.random.bernoulli(flip_key, shape=(n, 1, 1, 1))
    x = jnp.where(mirrored_N, cropped[:, :, ::-1], cropped).astype(jnp.float32) / 255
    return (x - jnp.array(MEAN)) / jnp.array(STD)


@nnx.jit
def train_step(model, optimizer, metrics, key, step, pixels, labels):
    x = augment(jax.random.fold_in(key, step), pixels)

    def loss_fn(model):
        scores = model(x)
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean(), scores

    (loss, scores), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    metrics.update(loss=loss, logits=scores, labels=labels)
    optimizer.update(model, grads)
    return loss


class Training:
    """Steps, and a way to wait for the last of them."""

    def __init__(self, pixels_NHWC, labels_N, batch):
        self.pixels_NHWC, self.labels_N, self.batch, self.loss = pixels_NHWC, labels_N, batch, None

    def steps(self):
        model = TinyAlexNet(nnx.Rngs(0))
        check_parameters(sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param))))
        model.train()
        optimizer = nnx.Optimizer(model, optax.sgd(0.01, momentum=0.9), wrt=nnx.Param)
        metrics = nnx.MultiMetric(accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss"))
        one_step = nnx.cached_partial(train_step, model, optimizer, metrics)
        rng, key, step = np.random.default_rng(0), jax.random.key(0), 0
        while True:
            order_N = rng.permutation(len(self.labels_N))
            for start in range(0, len(order_N) - self.batch + 1, self.batch):  # one shape, compiled once
                index_B = order_N[start : start + self.batch]
                self.loss = one_step(key, step, self.pixels_NHWC[index_B], self.labels_N[index_B])
                step += 1
                yield self.batch

    def wait(self):
        self.loss.block_until_ready()


def main():
    args = arguments()
    images = np.load(args.arrays)
    training = Training(images["x_train"], images["y_train"].astype(np.int32), batch_size(args.task))
    rate = images_per_s(training.steps(), Clock(args.seconds, wait=training.wait))
    report(["jax", "flax", "optax", "numpy"], images_per_s=rate)


if __name__ == "__main__":
    main()
