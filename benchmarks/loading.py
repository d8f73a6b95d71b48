"""How fast images reach the training loop: from JPEG files, from shards and from memory, beside torchvision's way.

    python benchmarks/loading.py --photos FOLDER [--out benchmarks/results/loading.json]

FOLDER holds photographs, which are brought to 500 x 375 (ImageNet's usual size) as JPEGs of quality 93. Every way
ends in normalised fp32 batches of 128 random 224 px crops, mirrored or not, from images with a short side of 256.
CPU time counts all threads and processes and hardly depends on what else the machine does; images/s does.
Memory is the largest resident size of a process of its own that reads one epoch, of these images and of as many links
to them again. TorchCodec is among the decoders where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import itertools
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import simplejpeg
import torch
from PIL import Image, ImageOps

from alexnet import data, runtime
from alexnet.card import Preprocessing
from alexnet.config import AugmentConfig
from alexnet.data.images import decode
from alexnet.data.loading.from_disk import open_loader

BATCH, IMAGES, REPEATS = 128, 1024, 5
LARGER = (1, 5, 20)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_photos(source: Path, target: Path) -> None:
    files = sorted(file for file in source.iterdir() if file.suffix.lower() in decode.EXTENSIONS)
    photos = [ImageOps.fit(Image.open(file).convert("RGB"), (500, 375), Image.Resampling.LANCZOS) for file in files]
    for i, photo in zip(range(IMAGES), itertools.cycle(photos)):
        path = target / "train" / f"class{i % 2}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.save(path, quality=93)
    for name in ("class0", "class1"):
        (target / "test" / name).mkdir(parents=True)
        photos[0].save(target / "test" / name / "0.jpg")


def cpu_s() -> float:
    """Of this process and of its children that ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def ours(source: Path, stream: data.Streaming) -> Callable[[int], Iterator[torch.Tensor]]:
    images = data.load(source, image_px=224, resize_px=256, val_fraction=0, stream=stream).train
    how = Preprocessing(image_px=224, in_channels=3, mean=MEAN, std=STD)
    loader = open_loader(images, how, torch.device("cpu"), torch.float32, AugmentConfig(flip="random"))
    bounds = [(i, min(i + BATCH, len(images))) for i in range(0, len(images), BATCH)]
    return lambda epoch: (x for x, _ in loader.batches(loader.plan(0, epoch), bounds))


def torchvisions(source: Path) -> Callable[[int], Iterator[torch.Tensor]]:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [v2.Resize(256), v2.RandomCrop(224), v2.RandomHorizontalFlip(), v2.ToImage()]
    transform = v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    loader = DataLoader(ImageFolder(str(source / "train"), transform), BATCH, shuffle=True, num_workers=2)
    return lambda epoch: (x for x, _ in loader)


def decoders(files: list[bytes]) -> dict[str, float]:
    """CPU milliseconds a JPEG of 500 x 375 takes to be decoded at full size, at 3/4, or to its 256 px square."""

    def pillow(content: bytes) -> None:
        Image.open(io.BytesIO(content)).load()

    ways: dict[str, Callable[[bytes], object]] = {
        "Pillow": pillow,
        "simplejpeg": lambda content: simplejpeg.decode_jpeg(content, "RGB"),
        "simplejpeg, DCT at 3/4": lambda content: simplejpeg.decode_jpeg(
            content, "RGB", min_height=256, min_width=256
        ),
        "decoded, resized and cut (ours)": lambda content: decode.decode_square(content, 256, 3, ""),
    }
    if importlib.util.find_spec("torchcodec"):
        from torchcodec.decoders import decode_jpeg

        tensors = {content: torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in files}
        ways["TorchCodec"] = lambda content: decode_jpeg(tensors[content])
    found = {}
    for name, way in ways.items():
        times = []
        for _ in range(REPEATS):
            began = time.thread_time()
            for content in files:
                way(content)
            times.append(1000 * (time.thread_time() - began) / len(files))
        found[name] = round(min(times), 3)
    return found


def repeated(files: Path, times: int, target: Path) -> Path:
    """The images of `files`, `times` times, as links."""
    for path in files.glob("*/*/*.jpg"):
        folder = target / path.relative_to(files).parent
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(times):
            (folder / f"{i}-{path.name}").symlink_to(path)
    return target


def peak_mib(source: Path) -> float:
    """The largest resident size of this process, once an epoch of `source` has been read."""
    runtime.start("cpu", "fp32", None)
    for _ in ours(source, "always")(0):
        pass
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def memory(files: Path, folder: Path) -> dict[str, dict[int, float]]:
    """MiB that reading takes at its most, by the number of images."""
    found: dict[str, dict[int, float]] = {"JPEG files": {}, "shards": {}}
    for times in LARGER:
        linked, packed = repeated(files, times, folder / f"files-{times}"), folder / f"shards-{times}"
        data.pack(linked, packed)
        for name, source in (("JPEG files", linked), ("shards", packed)):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found[name][times * IMAGES] = pool.apply(peak_mib, (source,))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine = runtime.start("cpu", "fp32", None)  # as training does: it also decides how memory is taken
    with tempfile.TemporaryDirectory() as folder:
        files, packed = Path(folder) / "files", Path(folder) / "shards"
        os.environ["ALEXNET_CACHE"] = str(Path(folder) / "cache")
        make_photos(options.photos, files)
        began, began_cpu = time.perf_counter(), cpu_s()
        data.pack(files, packed)
        pack_s, pack_cpu_s = time.perf_counter() - began, cpu_s() - began_cpu
        ways = {
            "ImageFolder + DataLoader, 2 workers": torchvisions(files),
            "ours, JPEG files": ours(files, "always"),
            "ours, shards": ours(packed, "always"),
            "ours, memory": ours(packed, "never"),
        }
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for epoch in range(REPEATS):
            for name, way in ways.items():  # in turns, so that all see the same machine
                began, began_cpu = time.perf_counter(), cpu_s()
                assert sum(len(x_NCHW) for x_NCHW in way(epoch)) == IMAGES
                rows[name].append((IMAGES / (time.perf_counter() - began), 1000 * (cpu_s() - began_cpu) / IMAGES))
        small = [path.read_bytes() for path in sorted(files.glob("train/*/*.jpg"))[:64]]
        result = {
            "environment": runtime.environment(machine),
            "images": IMAGES,
            "images_per_s": {name: [round(speed, 1) for speed, _ in row] for name, row in rows.items()},
            "median_images_per_s": {name: statistics.median(speed for speed, _ in row) for name, row in rows.items()},
            "cpu_ms_per_image": {
                name: round(statistics.median(ms for _, ms in row), 3) for name, row in rows.items()
            },
            "decoder_cpu_ms": decoders(small),
            "peak_mib": memory(files, Path(folder)),
            "pack": {"images_per_s": IMAGES / pack_s, "cpu_ms_per_image": 1000 * pack_cpu_s / IMAGES},
        }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
