"""ImageNet's own layouts, in miniature."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import data
from alexnet.data.sources.imagenet import readable
from alexnet.errors import UserError

WriteImages = Callable[..., None]
TENCH, CRANE, OTHER_CRANE = "n01440764", "n02012849", "n03126707"
WORDS = f"{TENCH} tench, Tinca tinca\n{CRANE} crane\n{OTHER_CRANE} crane\n"
NAMES = ("tench", f"crane ({CRANE})", f"crane ({OTHER_CRANE})")
# Of the four validation images, by name.
CLASSES = [CRANE, TENCH, OTHER_CRANE, TENCH]


@pytest.fixture
def ilsvrc(tmp_path: Path, write_images: WriteImages) -> Path:
    """ILSVRC/Data/CLS-LOC as Kaggle's archive has it: class folders in train/, flat val/ and test/."""
    folder = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    write_images(
        folder / "train", *(f"{name}/{name}_{i}.JPEG" for name in (TENCH, CRANE, OTHER_CRANE) for i in (1, 2))
    )
    write_images(folder / "val", *(f"ILSVRC2012_val_0000000{i}.JPEG" for i in range(1, 5)))
    write_images(folder / "test", "ILSVRC2012_test_00000001.JPEG")
    return folder


def check_val(folder: Path, names: tuple[str, ...] = (TENCH, CRANE, OTHER_CRANE)) -> None:
    dataset = data.load(folder, image_px=4, val_fraction=0)
    assert dataset.class_names == names
    test = dataset.open_test()
    found = {Path(file).name: int(label) for file, label in zip(test.files, test.labels_N, strict=True)}
    place = {TENCH: 0, CRANE: 1, OTHER_CRANE: 2}
    assert list(dict(sorted(found.items())).values()) == [place[name] for name in CLASSES]
    assert dataset.train.labels_N.tolist() == [0, 0, 1, 1, 2, 2]


def write_solution(folder: Path) -> None:
    lines = [f"ILSVRC2012_val_0000000{i},{name} 85 1 499 272" for i, name in enumerate(CLASSES, start=1)]
    (folder / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "\n".join(reversed(lines)) + "\n")


def write_meta(folder: Path) -> None:
    """The development kit's numbers, which are in no order of names, and one synset above the others."""
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    rows = [(3, TENCH, "tench, Tinca tinca", 0), (1, CRANE, "crane", 0), (2, OTHER_CRANE, "crane", 0)]
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "meta.mat", {"synsets": np.array([*rows, (1001, "n00000001", "thing", 3)], dtype=kinds)})
    number = {name: row[0] for row in rows for name in [row[1]]}
    truth = "\n".join(str(number[name]) for name in CLASSES)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(truth + "\n")


def test_kaggles_archive(ilsvrc: Path) -> None:
    write_solution(ilsvrc.parents[2])
    check_val(ilsvrc)
    (ilsvrc.parents[2] / "LOC_synset_mapping.txt").write_text(WORDS)
    check_val(ilsvrc, NAMES)
    described = data.describe(ilsvrc)
    assert described["images"] == {"train": 6, "test": 4}
    assert "val/ serves as the test split" in described["split"]


@pytest.mark.parametrize("place", ["ILSVRC2012_devkit_t12/data", "."])
def test_the_development_kit(ilsvrc: Path, place: str) -> None:
    write_meta(ilsvrc / place)
    check_val(ilsvrc, NAMES)


def test_tiny_imagenet(tmp_path: Path, write_images: WriteImages) -> None:
    folder = tmp_path / "tiny-imagenet-200"
    write_images(folder, *(f"train/{n}/images/{n}_{i}.JPEG" for n in (TENCH, CRANE, OTHER_CRANE) for i in (1, 2)))
    write_images(folder, *(f"val/images/val_{i}.JPEG" for i in range(4)), "test/images/test_0.JPEG")
    lines = [f"val_{i}.JPEG\t{name}\t0\t32\t44\t62" for i, name in enumerate(CLASSES)]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "words.txt").write_text(re.sub(r"(n\d+) ", r"\1\t", WORDS) + "n00001740\tentity\n")
    check_val(folder, NAMES)
    packed = data.pack(folder, tmp_path / "out", processes=1)
    assert packed.images == {"train": 6, "test": 4}
    assert data.load(tmp_path / "out", val_fraction=0).class_names == NAMES


def test_val_without_a_list_is_told(ilsvrc: Path) -> None:
    with pytest.raises(UserError, match=r"val: images outside of class folders, and none of val_annotations\.txt"):
        data.load(ilsvrc)


def test_a_list_that_does_not_fit_is_told(ilsvrc: Path) -> None:
    write_meta(ilsvrc)
    extra = ilsvrc / "val" / "ILSVRC2012_val_00000009.JPEG"
    extra.write_bytes((ilsvrc / "val" / "ILSVRC2012_val_00000001.JPEG").read_bytes())
    with pytest.raises(UserError, match="has 4 lines for 5 images"):
        data.load(ilsvrc)
    write_solution(ilsvrc)
    with pytest.raises(UserError, match=r"does not say the class of val/ILSVRC2012_val_00000009\.JPEG"):
        data.load(ilsvrc)
    extra.unlink()
    (ilsvrc / "LOC_val_solution.csv").write_text("some,thing\n1,2\n")
    with pytest.raises(UserError, match=r"LOC_val_solution\.csv cannot be read"):
        data.load(ilsvrc)
    (ilsvrc / "LOC_val_solution.csv").unlink()
    (ilsvrc / "meta.mat").write_bytes(b"words")
    with pytest.raises(UserError, match=r"meta\.mat cannot be read"):
        data.load(ilsvrc)
    (ilsvrc / "meta.mat").unlink()
    with pytest.raises(UserError, match=r"ground_truth\.txt needs meta\.mat"):
        data.load(ilsvrc)


def test_a_flat_test_folder_with_no_val_is_told(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, "train/a/1.png", "train/b/1.png", "test/1.png")
    with pytest.raises(UserError, match="test: images outside of class folders"):
        data.load(tmp_path)


def test_only_synsets_all_of_which_are_listed_get_names(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(WORDS)
    assert readable((TENCH, CRANE), tmp_path) == ("tench", "crane")
    assert readable((TENCH, "n99999999"), tmp_path) == (TENCH, "n99999999")
    assert readable(("cat", "dog"), tmp_path) == ("cat", "dog")


def test_classes_of_shards_are_named_by_a_list_beside_them(tmp_path: Path, decoded_cache: Path) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    for split in ("train", "validation"):
        with tarfile.open(tmp_path / f"imagenet1k-{split}-00.tar", "w") as tar:
            for label in range(3):
                for kind, content in (("cls", str(label).encode()), ("jpg", out.getvalue())):
                    info = tarfile.TarInfo(f"{label}.{kind}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    assert data.load(tmp_path, image_px=8, val_fraction=0).class_names == ("0", "1", "2")
    (tmp_path / "LOC_synset_mapping.txt").write_text(WORDS)
    assert data.load(tmp_path, image_px=8, val_fraction=0).class_names == NAMES
