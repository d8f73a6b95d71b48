"""The page with the whole story, from the studies that have been run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from alexnet.errors import UserError
from alexnet.studies.page import plot, write_html
from alexnet.studies.registry import NAMES

_INTRODUCTION = {
    "en": "Features were once made by hand and given to a support vector machine. Then networks learned them, level by "
    "level, and won: thanks to a better activation, to dropout, to varied images, to depth and to data. So the paper "
    "and the tutorial tell it. Here each claim is measured again on small images, with several seeds, and judged by a "
    "rule that was fixed before the runs.",
    "zh": "特徵曾經由人手工設計，再交給支持向量機。後來神經網路逐層學習特徵而獲勝：靠的是更好的活化函數、dropout、"
    "資料增強、深度與資料量。論文與教學是這樣說的。這裡把每個主張在小影像上用多個種子重新測量，並依照事先訂好的規則判斷。",
}
_RULE = {
    "en": "A value (a difference or ratio of two arms, seed by seed) holds if the whole of its 95% interval lies "
    "between the bounds, does not hold here if the whole of it lies beyond one of them, and is undecided otherwise. A "
    "claim holds if all its values do, and does not hold here if any does not.",
    "zh": "每個值（兩組之差或比，逐種子計算）的 95% 區間若全部落在界限之間，即為成立；若全部落在某一界限之外，即為在此不成立；"
    "其餘為尚無定論。主張的每個值都成立才算成立，有任何一個不成立就算在此不成立。",
}


def write_index(folder: Path) -> Path:
    """Write `index.html` into a folder of studies; those that have not been run are left out.

    Returns:
        The page.

    Raises:
        UserError: none has been run.
    """
    studies = finished(folder)
    if not studies:
        raise UserError(f"{folder} holds no finished study: run one with `alexnet study NAME --data SRC`")
    write_html(
        folder / "index.html",
        "index.html.jinja",
        introduction=_INTRODUCTION,
        rule=_RULE,
        studies=[(values, plot(values)) for values in studies],
    )
    return folder / "index.html"


def finished(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The values of each study.json in a folder of studies, in the order of the story."""
    paths = [Path(folder) / name / "study.json" for name in NAMES]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
