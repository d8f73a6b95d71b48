"""What is measured of finished networks, against plain arithmetic on networks whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from alexnet import data, models
from alexnet.run_folder import RunFolder
from alexnet.studies import measures
from alexnet.studies.claims import hierarchy, saturation
from alexnet.studies.study import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def run(finished: Path) -> Run:
    folder = RunFolder(finished / "runs" / "two-1")
    recipe, _ = folder.read_recipe()
    return Run(folder, recipe, "digits", None)


def test_errors_are_those_of_the_finished_network_on_its_own_images(run: Run):
    trained = measures.Trained(run)
    whole = data.load("digits", val_fraction=0.1)
    own = data.with_train_images(whole, 100, 1).train
    assert torch.equal(trained.train.pixels_NHWC, own.pixels_NHWC)
    answers = trained.classifier.predict([image.numpy()[:, :, 0] for image in own.pixels_NHWC])
    wrong = sum(
        answer.label != whole.class_names[y] for answer, y in zip(answers, own.labels_N.tolist(), strict=True)
    )
    figures = measures.final_errors(run)["figures"]
    assert figures["train_error"] == pytest.approx(wrong / 100)
    test_top1 = json.loads(run.folder.result.read_text())["test_top1"]
    assert figures["test_error"] == pytest.approx(1 - test_top1)
    assert figures["gap"] == pytest.approx(1 - test_top1 - wrong / 100)


def test_training_figures_stand_in_the_middle_of_their_epoch(run: Run):
    rows = run.folder.read_metrics()
    assert measures.history(run, "train_loss") == ([0.5, 1.5], [row["train_loss"] for row in rows])
    assert measures.error_curve(run, "val_top1") == ([1, 2], [1 - row["val_top1"] for row in rows])


def test_inputs_are_spread_evenly(run: Run):
    trained = measures.Trained(run)
    x_NCHW, labels_N = trained.inputs(trained.train, 50)
    assert x_NCHW.shape == (50, 1, 32, 32)
    assert torch.equal(labels_N, trained.train.labels_N[::2])
    assert len(trained.inputs(trained.train, 1000)[1]) == 100


def test_units_that_are_off_for_all_images_are_dead():
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 6), nn.ReLU())
    with torch.no_grad():
        net[0].bias.copy_(torch.tensor([100.0, 100.0, 100.0, -100.0]))
        net[3].weight.zero_()
        net[3].bias.copy_(torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0, 1.0]))
    assert saturation._dead_share(net, torch.randn(5, 1, 2, 2)) == pytest.approx((1 + 3) / 10)


def test_gradients_are_those_of_the_first_weights():
    from dataclasses import replace

    from alexnet import recipes
    from alexnet.config import ModelConfig

    recipe = replace(recipes.digits(), model=ModelConfig(name="lenet", init="gaussian"), seed=3)
    net = models.lenet()
    x_NCHW, labels_N = torch.randn(6, 1, 28, 28), torch.arange(6)
    gradients = saturation._gradients(net, recipe, x_NCHW, labels_N)
    assert len(gradients) == 5
    scores_NK = net(x_NCHW)  # of the last layer by hand: its input times softmax minus the right answer
    inputs_ND = net.classifier[:-1](net.features(x_NCHW).flatten(1))
    excess_NK = (scores_NK.softmax(1) - torch.nn.functional.one_hot(labels_N, 10)) / 6
    assert gradients[-1] == pytest.approx(float((excess_NK.T @ inputs_ND).detach().square().mean().sqrt()), rel=1e-4)
    assert saturation._gradients(net, recipe, x_NCHW, labels_N) == gradients


def test_levels_are_small_and_in_order():
    levels = hierarchy._levels(models.tiny_alexnet(), torch.randn(3, 3, 32, 32))
    assert [tuple(level.shape) for level in levels] == [
        (3, 3 * 16),
        (3, 32 * 16),
        (3, 32 * 16),
        (3, 32 * 16),
        (3, 256),
        (3, 256),
    ]
