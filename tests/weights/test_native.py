from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from alexnet import models
from alexnet.card import ModelCard, Preprocessing
from alexnet.errors import UserError
from alexnet.weights import load, native, read_card, save

LENET_CARD = ModelCard(
    model="lenet",
    options={"num_classes": 3, "in_channels": 1, "image_px": 20, "activation": "relu"},
    class_names=("cat", "狗", "a, b"),
    preprocessing=Preprocessing(image_px=20, in_channels=1, mean=(0.1,), std=(0.3,)),
    recipe={"name": "digits", "optimizer": {"lr": 0.1}},
    source="somewhere",
)


@pytest.fixture
def lenet():
    torch.manual_seed(0)
    return models.create(LENET_CARD.model, **LENET_CARD.options)


@pytest.fixture
def saved(tmp_path, lenet):
    save(tmp_path / "net.safetensors", lenet, LENET_CARD)
    return tmp_path / "net.safetensors"


def metadata(path):
    """What a file says of itself, without the checksum, so that it can be written with other content."""
    with path.open("rb") as file:
        found = json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]
    return {key: value for key, value in found.items() if key != "alexnet.checksum"}


def test_round_trip_is_exact_to_the_bit(saved, lenet):
    loaded, card = load(saved)
    assert card == LENET_CARD
    assert not loaded.training
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in lenet.named_parameters()]
    for name, tensor in lenet.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    x_NCHW = torch.rand(2, 1, 20, 20)
    assert torch.equal(loaded(x_NCHW), lenet.eval()(x_NCHW))


def test_statistics_of_batch_norm_are_kept_to_the_bit(tmp_path):
    torch.manual_seed(0)
    net = models.cifar_alexnet(num_classes=3, image_px=9)
    for _ in range(3):
        net(torch.rand(4, 3, 9, 9))  # in train mode, so that the norms see something
    card = replace(
        LENET_CARD,
        model="cifar_alexnet",
        options={"num_classes": 3, "image_px": 9},
        preprocessing=Preprocessing(image_px=9, in_channels=3, mean=(0.5,) * 3, std=(0.2,) * 3),
    )
    net.to(memory_format=torch.channels_last)
    save(tmp_path / "net.safetensors", net, card)
    loaded, _ = load(tmp_path / "net.safetensors")
    state = loaded.state_dict()
    for name, tensor in net.state_dict().items():
        assert state[name].dtype == tensor.dtype, name
        assert torch.equal(state[name], tensor), name
    assert state["features.norm2.num_batches_tracked"] == 3
    assert state["features.norm2.running_mean"].abs().min() > 0
    x_NCHW = torch.rand(5, 3, 9, 9)
    loaded.to(memory_format=torch.channels_last)
    assert torch.equal(loaded(x_NCHW), net.eval()(x_NCHW))
    loaded.train()(x_NCHW)
    assert state["features.norm2.num_batches_tracked"] == 4


@pytest.mark.parametrize("name", ["tiny_alexnet", "cifar_alexnet", "lenet"])
def test_a_loaded_net_can_be_trained_further(tmp_path, name):
    net = models.create(name)
    facts = models.facts(name)
    card = ModelCard(
        model=name,
        options={},
        class_names=tuple("abcdefghij"),
        preprocessing=Preprocessing(
            image_px=facts.native_px, in_channels=facts.native_channels, mean=facts.mean, std=facts.std
        ),
    )
    save(tmp_path / "net.safetensors", net, card)
    loaded, _ = load(tmp_path / "net.safetensors")
    scores_NK = loaded(torch.rand(2, facts.native_channels, facts.native_px, facts.native_px))
    scores_NK.sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())
    with torch.no_grad():
        next(loaded.parameters()).zero_()
    assert torch.equal(load(tmp_path / "net.safetensors")[0].features.conv1.weight, net.features.conv1.weight)


def test_a_loaded_net_does_not_depend_on_its_file(saved, lenet):
    loaded, _ = load(saved)
    saved.write_bytes(bytes(saved.stat().st_size))  # in place, as cp does
    for name, tensor in lenet.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_loading_draws_no_random_number(saved):
    state = torch.get_rng_state()
    load(saved)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_in_any_layout_and_type_are_kept_as_contiguous_fp32(tmp_path):
    net = models.tiny_alexnet().to(memory_format=torch.channels_last).bfloat16()
    card = replace(
        LENET_CARD,
        model="tiny_alexnet",
        options={},
        class_names=tuple("abcdefghij"),
        preprocessing=Preprocessing(image_px=32, in_channels=3, mean=(0,) * 3, std=(1,) * 3),
    )
    save(tmp_path / "net.safetensors", net, card)
    for name, tensor in load_file(tmp_path / "net.safetensors").items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, net.state_dict()[name].float())


def test_half_precision_files_load_as_fp32(saved):
    save_file({name: t.half() for name, t in load_file(saved).items()}, saved, metadata(saved))
    assert {p.dtype for p in load(saved)[0].parameters()} == {torch.float32}


def test_read_card_does_not_build_the_net(saved, monkeypatch):
    monkeypatch.setattr(native, "empty_net", None)
    assert read_card(saved) == LENET_CARD


def test_a_run_folder(tmp_path, lenet):
    run = tmp_path / "run"
    save(run / "model.safetensors", lenet, LENET_CARD)  # makes the folder
    assert load(run)[1] == read_card(run) == LENET_CARD


def test_an_unfinished_run_says_to_resume(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(UserError, match=rf"alexnet train --resume {tmp_path}"):
        load(tmp_path)


def test_a_failed_save_leaves_the_old_file(saved, lenet, monkeypatch):
    def fail(_tensors, part, _metadata):
        part.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(native, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save(saved, lenet, LENET_CARD)
    assert load(saved)[1] == LENET_CARD
    assert list(saved.parent.iterdir()) == [saved]


def test_save_refuses_a_card_of_another_net(tmp_path, lenet):
    path = tmp_path / "net.safetensors"
    with pytest.raises(UserError, match=r"classifier.fc5.weight 4x84 +classifier.fc5.weight 3x84"):
        save(path, lenet, replace(LENET_CARD, options=LENET_CARD.options | {"num_classes": 4}))
    with pytest.raises(UserError, match="3 outputs and 2 class names"):
        save(path, lenet, replace(LENET_CARD, class_names=("a", "b")))
    with pytest.raises(UserError, match=r"call the file .*net\.safetensors"):
        save(tmp_path / "net.pth", lenet, LENET_CARD)
    assert not list(tmp_path.iterdir())


def test_truncation_anywhere_is_a_user_error(saved):
    whole = saved.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for size in [*range(0, header + 8, 7), header + 8, len(whole) // 2, len(whole) - 1]:
        saved.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"damaged|empty"):
            load(saved)


def test_files_of_other_kinds_are_refused_with_the_remedy(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(UserError, match="there is no file"):
        load(path)
    path.write_text("not weights at all, but text")
    with pytest.raises(UserError, match=r"not a \.safetensors file"):
        load(path)
    torch.save({}, path)
    with pytest.raises(UserError, match=r"of PyTorch.*\n.*alexnet convert"):
        load(path)
    with pytest.raises(UserError, match=r"no model\.safetensors"):
        load(tmp_path)
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"does not say which network.*\n.*alexnet convert"):
        load(path)
    with pytest.raises(UserError, match="does not say which network"):
        read_card(path)


def test_tensors_that_do_not_fit_are_listed_side_by_side(saved):
    tensors = load_file(saved)
    tensors["features.conv2.bias"] = torch.zeros(7)
    del tensors["classifier.fc3.bias"]
    tensors["extra"] = torch.zeros(2, 2)
    save_file(tensors, saved, metadata(saved))
    with pytest.raises(UserError) as caught:
        load(saved)
    assert str(caught.value).splitlines()[1:] == [
        "  expected                 found",
        "  classifier.fc3.bias 120  none",
        "  none                     extra 2x2",
        "  features.conv2.bias 16   features.conv2.bias 7",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alexnet.format_version": "2"}, "format version 2, this program reads 1"),
        ({"alexnet.card": "{"}, "damaged description"),
        ({"alexnet.card": "[]"}, "damaged description"),
        ({"alexnet.card": '{"model": "lenet"}'}, "damaged description"),
        ({"alexnet.card": '{"colour": 1}'}, "no field colour"),
    ],
)
def test_damaged_cards_are_refused(saved, change, message):
    save_file(load_file(saved), saved, metadata(saved) | change)
    for read in (load, read_card):
        with pytest.raises(UserError, match=message):
            read(saved)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": "three"}, "cannot be built"),
        ({"num_classes": -3}, "cannot be built"),
        ({"colour": 1}, "no option colour"),
        ({"image_px": 2}, "at least 16 px"),
    ],
)
def test_cards_of_impossible_nets_are_refused(saved, options, message):
    found = metadata(saved)
    card = json.loads(found["alexnet.card"])
    card["options"] |= options
    save_file(load_file(saved), saved, found | {"alexnet.card": json.dumps(card)})
    with pytest.raises(UserError, match=message):
        load(saved)


def test_every_flipped_bit_is_found_or_changes_nothing(saved):
    written, (net, card) = saved.read_bytes(), native.load(saved)
    whole = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = 0
    for bit in random.Random(2012).sample(range(8 * len(written)), 300):
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(changed)
        try:
            other, other_card = native.load(saved)
        except UserError:
            found += 1
            continue
        assert other_card == card
        assert all(torch.equal(tensor, whole[name]) for name, tensor in other.state_dict().items()), bit
    assert found >= 290


def test_a_flipped_bit_of_a_value_is_named(saved):
    written = bytearray(saved.read_bytes())
    written[-2] ^= 1
    saved.write_bytes(written)
    with pytest.raises(UserError, match="is damaged: its weights differ from what was written"):
        native.load(saved)


def test_files_of_earlier_versions_have_no_checksum_and_load(saved):
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    del metadata["alexnet.checksum"]
    save_file(load_file(saved), saved, metadata)
    native.load(saved)
