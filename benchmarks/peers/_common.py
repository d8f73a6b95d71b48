"""What all peers share: their arguments, the clock, and the line of JSON they end with. Standard library alone.

A peer is a script that measures one task and prints the figure as the last line of its output:

    python benchmarks/peers/PEER.py TASK --data FOLDER --arrays FILE --threads N --seconds S

`--data` is a folder of images, `train/<class>/*` and `test/<class>/*`, all of 32 px. `--arrays` holds the same images
decoded (`x_train`, `y_train`, `x_test`, `y_test`, uint8 [N, H, W, C] and int64 [N]) for peers that keep images in
memory. The head of the script names what it needs, and the [[tool.bench]] tables there, its contenders.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import time
from pathlib import Path

PARAMETERS = 613_834  # TinyAlexNet with 10 classes; every peer checks its network against it
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # CIFAR-10's training images, pixels in 0..1
WARMUP_STEPS, WARMUP_SHARE = 3, 0.25


def arguments(*more):
    """The parsed command line; `more` are names of further options, which take a value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--arrays", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    for name in more:
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def batch_size(task):
    """Images a step: train_256 has 256."""
    return int(task.rpartition("_")[2])


def check_parameters(count):
    """End the script where it is another network."""
    if count != PARAMETERS:
        raise SystemExit(f"this TinyAlexNet has {count:,} parameters instead of {PARAMETERS:,}")


class Clock:
    """Told of each step, it says in the end how many images a second there were.

    A quarter of `seconds`, and at least three steps, are left out; then images are counted for `seconds`. `wait`
    returns when work that goes on in the background is done.
    """

    def __init__(self, seconds, wait=lambda: None):
        self.seconds, self.wait = seconds, wait
        self.began_s, self.start_s, self.steps, self.images = time.perf_counter(), None, 0, 0

    def tick(self, images):
        """A step with so many images is done; returns images a second when it is time to stop, else None."""
        self.steps, self.images, now_s = self.steps + 1, self.images + images, time.perf_counter()
        if self.start_s is None:
            if self.steps >= WARMUP_STEPS and now_s - self.began_s >= self.seconds * WARMUP_SHARE:
                self.wait()
                self.start_s, self.images = time.perf_counter(), 0
        elif now_s - self.start_s >= self.seconds:
            self.wait()
            return self.images / (time.perf_counter() - self.start_s)
        return None


def images_per_s(steps, clock):
    """Images a second of `steps`, an iterator that does a step each time it is asked and tells its images."""
    for images in steps:
        rate = clock.tick(images)
        if rate is not None:
            return rate
    raise SystemExit("the images ran out before the time")


def latency_ms(work, seconds):
    """Median time of a call of `work`, with the same warm-up."""
    times_s, began_s = [], time.perf_counter()
    while time.perf_counter() - began_s < seconds * WARMUP_SHARE:
        work()
    while len(times_s) < 2 or sum(times_s) < seconds:
        start_s = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - start_s)
    return 1e3 * statistics.median(times_s)


def report(packages, **figures):
    """Print the line of JSON that the benchmark reads, with the versions of `packages`."""
    versions = {"python": platform.python_version()}
    versions.update((name, importlib.metadata.version(name)) for name in packages)
    print(json.dumps({**figures, "versions": versions}))
