from __future__ import annotations

import argparse
import pickle

import pytest
import torch
from torchvision.models import alexnet as torchvision_alexnet

from alexnet import models
from alexnet.errors import UserError
from alexnet.weights import convert
from alexnet.weights.torchvision import read_state_dict


def test_torchvision_alexnet_gives_the_same_scores(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision_alexnet(num_classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "alexnet.pth")
    ours, card = convert(tmp_path / "alexnet.pth", "alexnet_owt", list("abcde"))
    assert not ours.training
    x_NCHW = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x_NCHW), theirs(x_NCHW), rtol=1e-5, atol=1e-5)
    assert card.preprocessing.image_px == 224
    assert card.preprocessing.mean == (0.485, 0.456, 0.406)
    assert card.preprocessing.std == (0.229, 0.224, 0.225)
    assert card.source.startswith("alexnet.pth (PyTorch state dict, sha256 ")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "args": argparse.Namespace(lr=0.1)},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
)
def test_state_dicts_and_checkpoints(tmp_path, wrap, legacy):
    net = models.lenet()
    path = tmp_path / "net.pth"
    torch.save(wrap(net.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    ours, _ = convert(path, "lenet", list("0123456789"))
    for name, tensor in net.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


class _RunsCode:
    def __reduce__(self):
        return print, ("run",)


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({"state_dict": _RunsCode()}, protocol=2))
    with pytest.raises(UserError, match="holds more than tensors"):
        read_state_dict(path)
    torch.save({"state_dict": _RunsCode()}, path)
    with pytest.raises(UserError, match="holds more than tensors"):
        read_state_dict(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [{}, [1], {"state_dict": {}}, {"lr": 0.1}, 3])
def test_files_without_a_state_dict_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UserError, match="no state dict"):
        read_state_dict(tmp_path / "net.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_truncation_is_a_user_error(tmp_path, legacy):
    path = tmp_path / "net.pth"
    torch.save({"a.weight": torch.arange(6.0).reshape(2, 3)}, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError):
            convert(path, "lenet", ["a"])
