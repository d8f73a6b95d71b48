"""What a newcomer reads on the terminal."""

from __future__ import annotations

import re

from alexnet.language import Language, Table

WORDS: Table = {
    # alexnet start
    "looking": ("looking at the photographs", "檢視照片"),
    "nothing_new": (
        "nothing is new since {run} was trained: its report is {report}",
        "自 {run} 訓練完成後沒有新的照片，報告在 {report}",
    ),
    "goes_on": (
        "goes on from {run}, which will be kept as {run}.previous",
        "從 {run} 繼續訓練，原本的結果會保留在 {run}.previous",
    ),
    "plan": (
        "plan: fine-tune {model} for {n} epochs on {images:,} images, about {duration}",
        "計畫：以 {images:,} 張影像微調 {model}，共 {n} 個 epoch，約需 {duration}",
    ),
    "plan_probe": (
        "plan: a linear classifier on the features of {model}, fitted to {images:,} images; about {duration}",
        "計畫：以 {images:,} 張影像，在 {model} 的特徵上訓練線性分類器，約需 {duration}",
    ),
    "balanced": (", uneven classes shown equally often", "；各類別張數不均，訓練時會讓各類別出現次數相同"),
    "found_even": (
        "found {images:,} images of {classes:,} classes: {each:,} of each",
        "找到 {images:,} 張影像，共 {classes:,} 個類別，每類 {each:,} 張",
    ),
    "found_uneven": (
        "found {images:,} images of {classes:,} classes: from {fewest:,} ({fewest_name}) to {most:,} ({most_name})",
        "找到 {images:,} 張影像，共 {classes:,} 個類別：最少 {fewest:,} 張（{fewest_name}），最多 {most:,} 張（{most_name}）",
    ),
    "split": ("split: {sizes}", "分割：{sizes}"),
    "train": ("{n:,} train", "訓練 {n:,} 張"),
    "val": ("{n:,} val", "驗證 {n:,} 張"),
    "test": ("{n:,} test", "測試 {n:,} 張"),
    "unreadable": ("{n:,} left out, as they cannot be read:", "{n:,} 個檔案無法讀取而略過："),
    "unreadable_1": ("1 left out, as it cannot be read:", "1 個檔案無法讀取而略過："),
    "duplicates": ("{n:,} groups of files that show one picture:", "{n:,} 組檔案是同一張照片："),
    "duplicates_1": ("1 group of files that show one picture:", "1 組檔案是同一張照片："),
    "suspects": ("{n:,} look like another class than their own:", "{n:,} 張看起來屬於別的類別，可能放錯資料夾："),
    "suspects_1": ("1 looks like another class than its own:", "1 張看起來屬於別的類別，可能放錯資料夾："),
    "suspect": ("{file}: like {class_name}", "{file}：像 {class_name}"),
    "leaks": (
        "{n:,} groups of them in two classes (decide which it is):",
        "其中 {n:,} 組出現在兩個類別（請決定屬於哪一個）：",
    ),
    "leaks_1": (
        "1 group of them in two classes (decide which it is):",
        "其中 1 組出現在兩個類別（請決定屬於哪一個）：",
    ),
    "more": ("... and {n:,} more", "……還有 {n:,} 個"),
    "seconds": ("{n} s", "{n} 秒"),
    "minutes": ("{n} minutes", "{n} 分鐘"),
    "next": ("next:", "接下來可以："),
    "next_predict": ("what is on other photographs", "辨識其他照片"),
    "next_explorer": ("see the network at work, in one file", "在一個檔案裡看網路怎麼運作"),
    "next_evaluate": ("measure again, or on another folder", "重新測量，或換另一個資料夾"),
    "next_more": ("again, after adding photographs", "加入更多照片後再執行一次"),
    "next_go_on": ("go on, with more photographs or more time", "加入更多照片或更多時間，繼續訓練"),
    # The end of a run
    "result": (
        "{split} top-1 {top1} (95% interval {low} to {high}) on {images} images; {work} in {seconds} s",
        "{split} Top-1 準確率 {top1}（95% 信賴區間 {low} 至 {high}），共 {images} 張影像；{work}，{seconds} 秒",
    ),
    "split_test": ("test", "測試集"),
    "split_val": ("val", "驗證集"),
    "epochs": ("{n} epochs", "{n} 個 epoch"),
    "epochs_1": ("1 epoch", "1 個 epoch"),
    "fitted": ("fitted", "擬合完成"),
    "run_folder": ("run folder: {path}", "執行資料夾：{path}"),
    "report": ("report:     {path}", "報告：{path}"),
    "explorer": ("explorer:   {path}", "互動頁面：{path}"),
    # alexnet predict
    "unsure": ("unsure", "不確定"),
    "none": ("none of these", "都不是"),
}

# Errors that a newcomer meets, by what they say in English. Others stay as they are: a wrong translation is worse.
_ERRORS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        r"there is no (?:command|recipe|baseline|study) '(?P<word>[^']*)'(?:; did you mean (?P<near>[^?]+)\?)?\n\w+: (?P<known>.*)",
        "沒有「{word}」這個名稱{near}\n可用的有：{known}",
        {"near": "；您是不是要輸入 {near}？"},
    ),
    (
        r"(?P<path>.+): (?:.+); put the images of each of two or more classes into its own folder",
        "{path}：至少要有兩個類別，請把各類別的影像分別放進各自的資料夾",
        {},
    ),
    (
        r"(?P<path>.+): no image in this class's folder; add some, or remove the folder",
        "{path}：這個類別的資料夾中沒有影像，請加入一些，或移除這個資料夾",
        {},
    ),
    (
        r"(?P<path>.+): the class (?P<name>.+) has no image to train on; add some, or remove its folder",
        "{path}：類別 {name} 沒有可用於訓練的影像，請加入一些，或移除其資料夾",
        {},
    ),
    (
        r"'(?P<name>.+)' is neither the name of a source \((?P<known>.+)\) nor a folder: (?P<path>.+) does not exist(?:; did you mean (?P<near>.+)\?)?",
        "「{name}」不是資料來源的名稱（{known}），也不是資料夾：{path} 不存在{near}",
        {"near": "；您是不是要輸入 {near}？"},
    ),
    (
        r"(?P<name>\S+) is not in (?P<place>.+): `(?P<command>.+)` fetches it",
        "{place} 中沒有 {name}：請用 `{command}` 下載",
        {},
    ),
    (
        r"(?P<path>.+) is not empty: (?:continue that run with `(?P<resume>.+)`, )?replace it with --overwrite, or name another --out",
        "{path} 不是空的：{resume}加上 --overwrite 取代，或用 --out 指定另一個資料夾",
        {"resume": "以 `{resume}` 繼續，或"},
    ),
    (
        r"(?P<path>.+) is not empty and no run folder: name another with --out",
        "{path} 不是空的，也不是執行資料夾：請用 --out 指定另一個資料夾",
        {},
    ),
    (r"(?P<path>.+) is no run folder: it has no recipe\.json", "{path} 不是執行資料夾：裡面沒有 recipe.json", {}),
    (
        r"cannot read the image (?P<path>.+): (?P<reason>.+?)(?:\. `alexnet data check` lists all such images; repair or remove them)?",
        "無法讀取影像 {path}：{reason}",
        {},
    ),
    (
        r"(?P<n>\d+) images? cannot be read: (?P<named>.+)\. `(?P<command>.+)` lists all; repair or remove them",
        "有 {n} 張影像無法讀取：{named}。`{command}` 會列出全部，請修復或移除",
        {},
    ),
    (r"stopped; run the same command again to go on", "已停止；再次執行相同的指令即可繼續", {}),
    (r"unknown language '(?P<name>.*)': choose (?P<known>.+)", "不支援的語言「{name}」：請選擇 {known}", {}),
)


def translated(message: str, language: Language) -> str:
    """An error's text in that language, where its translation is known."""
    if language == "en":
        return message
    for pattern, text, optional in _ERRORS:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            values = {name: value or "" for name, value in match.groupdict().items()}
            for name, part in optional.items():
                values[name] = part.format(**values) if values[name] else ""
            return text.format(**values)
    return message
