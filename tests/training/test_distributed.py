"""Several processes do what one does: the same steps, figures and run folder; and none is waited for in vain."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from alexnet import evaluation, training
from alexnet.config import AugmentConfig, ModelConfig, OptimizerConfig, Recipe, ScheduleConfig
from alexnet.data import Dataset, Images
from alexnet.distributed import World, from_environment, own_share
from alexnet.distributed.connect import meet
from alexnet.distributed.watch import Place, describe
from alexnet.errors import Interrupted, PeerLostError, UserError
from alexnet.training import run, trainer

pytestmark = pytest.mark.slow

N_TRAIN, N_VAL, N_TEST = 50, 7, 11  # 50 images in batches of 16 leave 2, fewer than 4 ranks


def images(n: int, seed: int, px: int) -> Images:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    shades = (labels * 80).astype(np.uint8)[:, None, None, None]
    return Images(
        torch.from_numpy(rng.integers(0, 60, (n, px, px, 3), dtype=np.uint8) + shades), torch.from_numpy(labels)
    )


def dataset(n_train: int = N_TRAIN, px: int = 32) -> Dataset:
    names = ("dark", "grey", "light")
    return Dataset("shades", names, images(n_train, 0, px), images(N_VAL, 1, px), lambda: images(N_TEST, 2, px), {})


# Only a hang takes as long; a busy machine does not.
FOR_EVER_S = 900.0
HANG_S = 600.0
STOPPED_S = 10.0  # where a rank is stopped on purpose


def recipe(**changes: Any) -> Recipe:
    base = Recipe(
        name="digits",
        data="shades",
        epochs=2,
        batch_size=16,
        precision="fp32",
        threads=1,
        # Smooth, as rounding that takes a unit across ReLU's kink would grow a hundredfold within an epoch.
        model=ModelConfig(name="tiny_alexnet", dropout=0.0, activation="gelu"),
        augment=AugmentConfig(crop_padding_px=2, flip="random"),
        optimizer=OptimizerConfig(lr=0.005, momentum=0.9),
        schedule=ScheduleConfig(name="constant"),
        stop_at_chance_epochs=0,
    )
    return replace(base, **changes)


# --- processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def children() -> Any:
    """Processes that have torch imported already, so that many can be started and killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["alexnet.training", "torch.nn.parallel", "torch.distributed"])
    return context


class Ranks:
    """So many processes of one world, each of which calls `work`; they log to a file each."""

    def __init__(self, children: Any, size: int, folder: Path, work: Callable[..., None], *args: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.logs = [folder / f"rank{rank}.log" for rank in range(size)]
        port = free_port()
        self.processes = [
            children.Process(target=as_rank, args=(rank, size, port, self.logs[rank], work, args))
            for rank in range(size)
        ]
        for process in self.processes:
            process.start()

    def wait(self) -> list[int | None]:
        for process in self.processes:
            process.join(FOR_EVER_S)
        return [process.exitcode for process in self.processes]

    def said(self) -> str:
        return "".join(log.read_text() for log in self.logs if log.exists())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def as_rank(rank: int, size: int, port: int, log: Path, work: Callable[..., None], args: Sequence[Any]) -> None:
    """What each process does; at module level so that it can be sent there."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    logging.basicConfig(filename=log, level=logging.INFO)
    status = 0
    try:
        work(*args)
    except UserError as error:
        logging.error("UserError: %s", error)
        status = 2
    except Interrupted as stop:
        status = 128 + stop.signal
    except PeerLostError as loss:
        logging.error("PeerLostError: %s", loss)
        status = 3
    logging.shutdown()
    os._exit(status)


def prepare() -> None:
    evaluation.finish.write_report = lambda *_: None  # half of the time


def train(ours: Recipe, out: Path) -> None:
    prepare()
    training.train(ours, dataset(), out=out, hang_timeout_s=HANG_S)


def train_together(children: Any, size: int, ours: Recipe, folder: Path) -> Path:
    ranks = Ranks(children, size, folder, train, ours, folder / "run")
    assert ranks.wait() == [0] * size, ranks.said()
    return folder / "run"


def assert_alike(run: Path, reference: Path, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    rows, expected = (training.RunFolder(path).read_metrics() for path in (run, reference))
    for row, other in zip(rows, expected, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=1e-5)
        assert (row["train_top1"], row["val_top1"]) == (other["train_top1"], other["val_top1"])
    result, known = (json.loads((path / "result.json").read_text()) for path in (run, reference))
    assert result["n_test"] == known["n_test"] == N_TEST
    assert result["test_top1"] == known["test_top1"]
    assert result["test_loss"] == pytest.approx(known["test_loss"], rel=1e-4)
    ours, theirs = (load_file(path / "model.safetensors") for path in (run, reference))
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=rtol, atol=atol)


# --- the same as one process ---------------------------------------------------------------------------------


VARIANTS: dict[str, tuple[Sequence[int], dict[str, Any]]] = {
    "plain": ((2, 4), {}),
    "in parts, averaged, clipped": ((3,), {"accumulate_steps": 3, "ema_decay": 0.9, "grad_clip_norm": 1.0}),
    "muon, weighed, smoothed": (
        (2,),
        {
            "optimizer": OptimizerConfig(name="muon", lr=0.02),
            "balance": "weights",
            "label_smoothing": 0.1,
            "train_px": (24, 32),
            "model": ModelConfig(name="cifar_alexnet"),
        },
    ),
}


@pytest.mark.parametrize(("sizes", "changes"), VARIANTS.values(), ids=VARIANTS)
def test_as_one_process(children: Any, tmp_path: Path, sizes: Sequence[int], changes: dict[str, Any]) -> None:
    ours = recipe(**changes)
    alone = train_together(children, 1, ours, tmp_path / "1")
    for size in sizes:
        together = train_together(children, size, ours, tmp_path / str(size))
        if ours.train_px is None:
            assert_alike(together, alone)
        environment = json.loads((together / "recipe.json").read_text())["environment"]
        assert environment["processes"] == size


def train_streamed(ours: Recipe, folder: Path, out: Path) -> None:
    evaluation.finish.write_report = lambda *_: None
    training.train(ours, folder, out=out, stream="always", hang_timeout_s=HANG_S)


def test_streamed_images(children: Any, tmp_path: Path) -> None:
    """Each process reads its own share of every batch from disk, and all together see what one does."""
    for split, n in (("train", N_TRAIN), ("val", N_VAL), ("test", N_TEST)):
        part = images(n, n, 32)
        for i, (pixels_HWC, label) in enumerate(zip(part.pixels_NHWC.numpy(), part.labels_N.tolist(), strict=True)):
            below = tmp_path / "images" / split / "abc"[label]
            below.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels_HWC).save(below / f"{i}.png")
    runs = []
    for size in (1, 2):
        folder = tmp_path / str(size)
        ranks = Ranks(children, size, folder, train_streamed, recipe(), tmp_path / "images", folder / "run")
        assert ranks.wait() == [0] * size, ranks.said()
        runs.append(folder / "run")
        assert json.loads((folder / "run" / "recipe.json").read_text())["data"]["origin"]["streamed"]
    assert_alike(*runs)


def test_layers_that_learn_later(children: Any, tmp_path: Path) -> None:
    """Gradients of layers that were frozen are summed from the epoch on in which they begin to learn."""
    first = train_together(children, 1, recipe(epochs=1), tmp_path / "first")
    ours = recipe(pretrained=str(first), freeze="features", freeze_epochs=1, layer_decay=0.5, accumulate_steps=2)
    runs = [train_together(children, size, ours, tmp_path / str(size)) for size in (1, 2)]
    assert_alike(runs[1], runs[0])


def test_mixed_images(children: Any, tmp_path: Path) -> None:
    """Images are mixed within a rank's share, as one process mixes within the parts of a batch."""
    mixing = {"augment": AugmentConfig(mixup=0.4, cutmix=1.0), "label_smoothing": 0.1}
    alone = train_together(children, 1, recipe(**mixing, batch_size=10, accumulate_steps=2), tmp_path / "1")
    together = train_together(children, 2, recipe(**mixing, batch_size=10), tmp_path / "2")
    assert_alike(together, alone)
    train_together(children, 4, recipe(**mixing), tmp_path / "4")  # the last batch leaves two of four none to mix


def test_only_rank_0_writes(children: Any, tmp_path: Path) -> None:
    ranks = Ranks(children, 2, tmp_path, train_watched, recipe(epochs=1), tmp_path / "run")
    assert ranks.wait() == [0, 0], ranks.said()
    by_main, by_other = (log.read_text() for log in ranks.logs)
    assert "wrote" in by_main
    assert "wrote" not in by_other


def train_watched(ours: Recipe, out: Path) -> None:
    def watch(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in ("os.mkdir", "os.rename")) and str(args[0]).startswith(str(out)):
            logging.info("wrote %s", args[0])

    sys.addaudithook(watch)
    train(ours, out)


def test_batch_norm(children: Any, tmp_path: Path) -> None:
    """Each rank norms its own images; the means and deviations that are kept are those of all ranks."""
    ours = recipe(model=ModelConfig(name="cifar_alexnet"), ema_decay=0.9)
    ranks = Ranks(children, 2, tmp_path, train_and_tell_statistics, ours, tmp_path / "run")
    assert ranks.wait() == [0, 0], ranks.said()
    told = [[line for line in log.read_text().splitlines() if "mean" in line] for log in ranks.logs]
    assert told[0] == told[1]
    assert len(told[0]) > 0


def train_and_tell_statistics(ours: Recipe, out: Path) -> None:
    finish = run.finish

    def tell(*args: Any) -> Any:
        state = args[3].state_dict()
        for name, value in state.items():
            if "running_mean" in name:
                logging.info("mean %s %s", name, value.tolist())
        return finish(*args)

    run.finish = tell
    train(ours, out)


# --- stopped, killed, stuck ----------------------------------------------------------------------------------


DROPPING = {"model": ModelConfig(name="tiny_alexnet", dropout=0.3), "epochs": 3}


class Stopping(training.Observer):
    def on_epoch(self, row: dict[str, Any]) -> None:
        if row["epoch"] == 1:  # on rank 0, but rank 1 gets the signal
            time.sleep(1)  # in which all tell where they stand
            os.kill(int(os.environ["TEST_VICTIM"]), int(os.environ["TEST_SIGNAL"]))


def train_until_signal(ours: Recipe, out: Path, victims: Any, number: int, timeout_s: float) -> None:
    prepare()
    if os.environ["RANK"] == "1":
        victims.put(os.getpid())
    else:
        os.environ |= {"TEST_VICTIM": str(victims.get()), "TEST_SIGNAL": str(number)}
    training.train(ours, dataset(), out=out, observer=Stopping(), hang_timeout_s=timeout_s)


def resume(out: Path) -> None:
    prepare()
    training.resume(out, data=dataset())


def test_a_signal_to_one_stops_all_and_the_run_goes_on(children: Any, tmp_path: Path) -> None:
    ours = recipe(**DROPPING)
    whole = train_together(children, 2, ours, tmp_path / "whole")
    out, victims = tmp_path / "run", children.SimpleQueue()
    ranks = Ranks(children, 2, tmp_path / "a", train_until_signal, ours, out, victims, signal.SIGTERM, HANG_S)
    assert ranks.wait() == [128 + signal.SIGTERM] * 2, ranks.said()
    state = torch.load(out / "checkpoint" / "state.pt", weights_only=True)
    assert len(state["rng_others"]) == 1
    assert not (out / "result.json").exists()
    alone = tmp_path / "alone"
    shutil.copytree(out, alone)
    again = Ranks(children, 2, tmp_path / "b", resume, out)
    assert again.wait() == [0, 0], again.said()
    assert_alike(out, whole, rtol=0, atol=0)
    by_one = Ranks(children, 1, tmp_path / "c", resume, alone)  # other dropout, but no complaint
    assert by_one.wait() == [0], by_one.said()


def test_a_rank_that_hangs_is_named(children: Any, tmp_path: Path) -> None:
    out, victims = tmp_path / "run", children.SimpleQueue()
    ranks = Ranks(children, 3, tmp_path, train_until_signal_of_three, recipe(epochs=50), out, victims)
    try:
        for rank in (0, 2):
            ranks.processes[rank].join(FOR_EVER_S)
        # The one whose clock is first speaks and ends; it may be gone before the other's clock strikes.
        assert sorted(ranks.processes[rank].exitcode for rank in (0, 2)) in ([1, 1], [1, 3])
        assert ranks.processes[1].exitcode is None
    finally:
        ranks.processes[1].kill()
    said = [line for line in ranks.said().splitlines() if "has not moved" in line]
    assert len(said) == 1  # by one of the two
    assert f"rank 1 (host {os.uname().nodename}, pid {ranks.processes[1].pid}) has not moved since epoch " in said[0]
    assert "(the process does not run); ranks 0, 2 wait at epoch " in said[0]


def train_until_signal_of_three(ours: Recipe, out: Path, victims: Any) -> None:
    if os.environ["RANK"] == "2":
        prepare()
        training.train(ours, dataset(), out=out, hang_timeout_s=STOPPED_S)
    else:
        train_until_signal(ours, out, victims, signal.SIGSTOP, STOPPED_S)


def test_a_rank_that_ends_is_named(children: Any, tmp_path: Path) -> None:
    out, victims = tmp_path / "run", children.SimpleQueue()
    ranks = Ranks(children, 2, tmp_path, train_until_signal, recipe(epochs=50), out, victims, signal.SIGKILL, HANG_S)
    assert ranks.wait() == [3, -signal.SIGKILL], ranks.said()
    pid = ranks.processes[1].pid
    assert f"PeerLostError: rank 1 (host {os.uname().nodename}, pid {pid}) ended at epoch " in ranks.said()


def test_who_is_behind() -> None:
    def place(rank: int, beats: int, moves: int, where: str) -> Place:
        return Place(rank, "a", 100 + rank, beats, moves, where)

    before = [place(0, 1, 7, "x"), place(1, 1, 7, "x"), place(2, 1, 7, "x")]
    stopped = [place(0, 9, 8, "y"), place(1, 1, 7, "x"), place(2, 9, 8, "y")]
    assert describe(before, stopped, 300.4) == (
        "rank 1 (host a, pid 101) has not moved since x, 300 s ago (the process does not run); ranks 0, 2 wait at y"
    )
    slow = [place(0, 9, 8, "y"), place(1, 9, 7, "x"), place(2, 9, 7, "x")]
    assert describe(before, slow, 5.0) == (
        "rank 1 (host a, pid 101) has not moved since x, 5 s ago; rank 2 (host a, pid 102) has not moved since x, "
        "5 s ago; rank 0 waits at y"
    )
    assert describe(before, [replace(p, beats=9) for p in before], 5.0).startswith(
        "all ranks are stalled: rank 0 (host a"
    )


# --- mistakes ------------------------------------------------------------------------------------------------


def test_too_many_processes(children: Any, tmp_path: Path) -> None:
    ranks = Ranks(children, 2, tmp_path, train, recipe(batch_size=4, accumulate_steps=4), tmp_path / "run")
    assert ranks.wait() == [2, 2]
    assert "2 processes cannot share the 1 image(s) of a gradient accumulation step: start 1 or fewer" in ranks.said()
    assert not (tmp_path / "run").exists()


def test_too_few_images_to_norm(children: Any, tmp_path: Path) -> None:
    ours = recipe(batch_size=3, model=ModelConfig(name="cifar_alexnet"))
    ranks = Ranks(children, 2, tmp_path, train, ours, tmp_path / "run")
    assert ranks.wait() == [2, 2]
    assert "set --batch-size to 4 or more, and train on 4 images, two for each process" in ranks.said()


def test_a_mistake_of_rank_0_is_known_to_all(children: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    ranks = Ranks(children, 2, tmp_path, train, recipe(), tmp_path / "run")
    assert ranks.wait() == [2, 2]
    assert ranks.said().count("is not empty") == 2


def test_no_place_to_meet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="MASTER_ADDR"):
        training.train(recipe(), dataset(), out=tmp_path / "run")


TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "job7",
    "TORCHELASTIC_RESTART_COUNT": "1",
}


class Store(dict[str, bytes]):
    """What c10d's store does, between threads."""

    def check(self, names: list[str]) -> bool:
        return all(name in self for name in names)

    def set(self, name: str, value: str) -> None:
        self[name] = value.encode()


def test_a_meeting_is_not_mistaken_for_the_one_before() -> None:
    """Processes that torchrun starts again find what the ones before left in its store."""
    store = Store()
    names = set()
    for _ in range(3):
        with ThreadPoolExecutor(3) as pool:
            met = list(pool.map(lambda rank: meet(store, World(rank, 3), 10), (2, 0, 1)))
        assert len(set(met)) == 1
        names |= set(met)
    assert len(names) == 3
    with pytest.raises(RuntimeError, match="not all of them came"):
        meet(store, World(0, 3), 0.1)
    with pytest.raises(RuntimeError, match="not all of them came"):
        meet(store, World(1, 3), 0.1)


def test_what_torchrun_says() -> None:
    assert from_environment({}) == World()
    assert from_environment(TORCHRUN) == World(3, 4, 1, 2, "job7", 1)
    assert from_environment({"RANK": "0", "WORLD_SIZE": "2"}) == World(0, 2, 0, 1)
    with pytest.raises(UserError, match="RANK is 'x'"):
        from_environment({**TORCHRUN, "RANK": "x"})
    with pytest.raises(UserError, match="do not fit together"):
        from_environment({**TORCHRUN, "RANK": "4"})


def test_a_host_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert own_share(5) == 2
    assert own_share(1) == 1


def test_shares_are_whole_even_and_apart() -> None:
    for size in range(1, 6):
        for start in (0, 3):
            for n in range(12):
                shares = [World(rank, size).share(start, start + n) for rank in range(size)]
                assert [i for first, last in shares for i in range(first, last)] == list(range(start, start + n))
                counts = [last - first for first, last in shares]
                assert max(counts) - min(counts) <= 1


def test_a_world_of_one_asks_nobody() -> None:
    world, x = World(), torch.ones(2, 3)
    assert world.gather_rows(x) is x
    assert world.gather("a") == ["a"]
    assert world.largest([3]) == [3]
    assert world.from_main(lambda: 5) == 5
    world.mean_([x])
    assert "torch.distributed.distributed_c10d" not in vars(trainer)
