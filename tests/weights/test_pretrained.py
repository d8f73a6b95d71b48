"""Published weights: found in torch's cache, checked, downloaded whole or not at all."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision

from alexnet import weights
from alexnet.errors import UserError
from alexnet.weights import pretrained

NAME = "torchvision:IMAGENET1K_V1"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache, empty; where the file would lie."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch/hub/checkpoints/alexnet-owt-7be5be79.pth"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file such as torchvision publishes, with other numbers in it."""
    path = tmp_path_factory.mktemp("published") / "alexnet-owt-7be5be79.pth"
    torch.manual_seed(0)
    torch.save(torchvision.models.alexnet().state_dict(), path)
    return path


def publish(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str) -> None:
    entry = pretrained._Published("alexnet_owt", url, sha256, 256)
    monkeypatch.setitem(pretrained._PUBLISHED, "IMAGENET1K_V1", entry)


@pytest.fixture
def server(published: Path) -> Iterator[str]:
    """Serves the folder of `published` on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(published.parent))  # type: ignore[arg-type]

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_the_entry_is_torchvisions_own() -> None:
    theirs = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
    ours = pretrained._PUBLISHED["IMAGENET1K_V1"]
    assert ours.url == theirs.url
    assert ours.url.endswith(f"-{ours.sha256_begins}.pth")
    transforms = theirs.transforms()
    assert (transforms.resize_size, transforms.crop_size) == ([ours.resize_px], [224])


def test_offline_the_url_and_the_file_are_named(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/alexnet-owt-7be5be79.pth"  # nothing listens at the discard port
    publish(monkeypatch, url, "7be5be79")
    with pytest.raises(UserError) as caught:
        weights.read_pretrained(NAME, "alexnet_owt")
    message = str(caught.value)
    assert message.startswith(f"{url} cannot be downloaded (")
    assert f"there is no {hub}: put the file there, or name your own copy with --pretrained FILE" in message
    assert not list(hub.parent.iterdir())


def test_downloaded_once(hub: Path, published: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = pretrained.sha256_of(published)
    publish(monkeypatch, f"{server}/{published.name}", digest[:8])
    found = weights.read_pretrained(NAME, "alexnet_owt")
    assert found.file == hub
    assert found.sha256 == digest
    assert hub.read_bytes() == published.read_bytes()
    how = found.card.preprocessing
    assert (how.image_px, how.resize_px, how.mean[0], how.std[0]) == (224, 256, 0.485, 0.229)
    theirs = torchvision.models.alexnet()
    theirs.load_state_dict(torch.load(published))
    x_NCHW = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(found.model.eval()(x_NCHW), theirs.eval()(x_NCHW), rtol=1e-4, atol=1e-5)
    publish(monkeypatch, "http://127.0.0.1:9/alexnet-owt-7be5be79.pth", digest[:8])
    assert weights.read_pretrained(NAME, "alexnet_owt").sha256 == digest  # from the cache


def test_a_file_of_another_check_sum_is_not_taken(
    hub: Path, published: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, f"{server}/{published.name}", "00000000")
    with pytest.raises(UserError, match="cannot be downloaded"):
        weights.read_pretrained(NAME, "alexnet_owt")
    assert not list(hub.parent.iterdir())
    hub.write_bytes(published.read_bytes())
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth is not what .* holds .*: remove the file"):
        weights.read_pretrained(NAME, "alexnet_owt")


def test_a_source_means_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights.find_pretrained("net.pth") == str(tmp_path / "net.pth")
    assert weights.find_pretrained(NAME) == NAME
