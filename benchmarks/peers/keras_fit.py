# /// script
# requires-python = ">=3.11"
# dependencies = ["keras", "tensorflow"]
#
# [[tool.bench]]
# name = "Keras 3 (TensorFlow), fit"
# tasks = ["train_256", "train_64"]
# ///
"""Keras 3 as its documentation begins: `image_dataset_from_directory`, preprocessing layers, `compile`, `fit`.

After Keras' "Image classification from scratch" and TensorFlow's "Better performance with the tf.data API", on the
default backend. The decoded images are cached in memory, so the first epoch, which fills the cache, is the warm-up;
crops and flips run beside the training by `map` with AUTOTUNE and are prefetched. As each epoch begins with the
filling of the shuffle buffer, whole epochs are counted, to the first that ends after the time. The policy is
mixed_bfloat16, as Keras' guide on mixed precision advises for hardware that has it; `fit` decides itself whether XLA
compiles the step (on the CPU tried it does not, and forcing it was several times slower).
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from _common import MEAN, STD, arguments, batch_size, check_parameters, report
from keras import layers


def tiny_alexnet():
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )
    check_parameters(model.count_params())
    return model


def training_images(folder, batch):
    """Augmented batches, and the number of images."""
    images = keras.utils.image_dataset_from_directory(folder, image_size=(32, 32), batch_size=batch, verbose=False)
    n = len(images.file_paths)
    augment = keras.Sequential(
        [
            layers.ZeroPadding2D(2),
            layers.RandomCrop(32, 32),
            layers.RandomFlip("horizontal"),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=MEAN, variance=[deviation**2 for deviation in STD]),
        ]
    )
    images = images.cache().shuffle(1000)
    images = images.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    return images.prefetch(tf.data.AUTOTUNE), n


class Stop(keras.callbacks.Callback):
    """Counts whole epochs after the first one, and ends `fit` when it has seen enough."""

    def __init__(self, seconds, n):
        super().__init__()
        self.seconds, self.n, self.rate = seconds, n, None

    def on_epoch_end(self, epoch, logs=None):
        now_s = time.perf_counter()
        if epoch == 0:
            self.start_s = now_s
        elif now_s - self.start_s >= self.seconds:
            self.rate = epoch * self.n / (now_s - self.start_s)
            self.model.stop_training = True


def main():
    args = arguments()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    batch = batch_size(args.task)
    images, n = training_images(args.data / "train", batch)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = tiny_alexnet()
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    stop = Stop(args.seconds, n)
    model.fit(images, epochs=1_000_000, callbacks=[stop], verbose=0)
    report(["keras", "tensorflow", "numpy"], images_per_s=stop.rate)


if __name__ == "__main__":
    main()
