"""The pages of the site, in order: their titles in both languages and their files, as they lie in the repository.

A page of `docs/` that is not named here stands at the end of the how-to pages, under its own heading.
"""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """A page: English title, Chinese title, and the English file; the Chinese one lies under `docs/zh-TW/`."""

    en: str
    zh: str
    file: str


class Section(NamedTuple):
    """A heading of the navigation and its pages."""

    en: str
    zh: str
    pages: tuple[Page, ...]


HOME = Page("Home", "首頁", "README.md")
HOW_TO = "How-to"

NAV = (
    Section(
        "Tutorial",
        "教學",
        (
            Page("The story and how to read it", "故事與讀法", "docs/tutorial/index.md"),
            Page("1. Features made by hand", "1. 手工特徵", "docs/tutorial/1-features.md"),
            Page("2. A hierarchy of features", "2. 逐級的特徵", "docs/tutorial/2-hierarchy.md"),
            Page("3. From LeNet to AlexNet", "3. 從 LeNet 到 AlexNet", "docs/tutorial/3-networks.md"),
            Page("4. What it costs", "4. 模型複雜度", "docs/tutorial/4-cost.md"),
            Page("5. ReLU", "5. ReLU", "docs/tutorial/5-relu.md"),
            Page("6. Dropout and its switch", "6. Dropout 與它的開關", "docs/tutorial/6-dropout.md"),
            Page("7. Data augmentation", "7. 資料增強", "docs/tutorial/7-augmentation.md"),
            Page("8. Data and GPUs", "8. 資料與 GPU", "docs/tutorial/8-data.md"),
            Page("9. The CIFAR-10 test", "9. CIFAR-10 測試", "docs/tutorial/9-cifar.md"),
            Page("10. What later work found", "10. 後來的發現", "docs/tutorial/10-later.md"),
        ),
    ),
    Section(
        HOW_TO,
        "操作指南",
        (
            Page("Guide", "使用指南", "docs/guide.md"),
            Page("Notebooks", "筆記本", "docs/notebooks.md"),
            Page("Weights of other frameworks", "其他框架的權重", "docs/old-weights.md"),
            Page("Look inside a network", "看網路的內部", "docs/explain.md"),
            Page("The explorer", "瀏覽頁", "docs/explorer.md"),
            Page("Export", "匯出", "docs/export.md"),
            Page("Serve", "提供服務", "docs/serving.md"),
            Page("Data that does not fit in memory", "放不進記憶體的資料", "docs/big-data.md"),
            Page("Many processes, GPUs and hosts", "多行程、多 GPU、多主機", "docs/scaling.md"),
            Page("The tutorial's Gluon code", "教學的 Gluon 程式碼", "docs/gluon.md"),
        ),
    ),
    Section(
        "Reference",
        "參考",
        (
            Page("Commands and exit codes", "指令與結束碼", "reference/commands.md"),
            Page("Recipes", "訓練配方", "reference/recipes.md"),
            Page("Python", "Python", "reference/python.md"),
            Page("Networks", "網路", "docs/networks.md"),
            Page("Glossary", "詞彙表", "docs/glossary.md"),
        ),
    ),
    Section(
        "Explanation",
        "說明",
        (
            Page("The claims, tested", "檢驗論文的主張", "docs/studies.md"),
            Page("The network of 2012", "2012 年的網路", "docs/alexnet-2012.md"),
            Page("Before AlexNet: baselines", "AlexNet 之前：基準方法", "docs/baselines.md"),
            Page("Performance", "效能", "docs/performance.md"),
            Page("Reliability", "可靠性", "docs/reliability.md"),
            Page("Beside other software", "與其他軟體比較", "docs/comparison.md"),
        ),
    ),
    Section(
        "Results",
        "結果",
        (
            Page("Accuracy and verdicts", "準確率與判定", "docs/results.md"),
            Page("All measurements", "所有測量", "benchmarks/RESULTS.md"),
        ),
    ),
    Section(
        "The project",
        "專案",
        (
            Page("Contributing", "參與開發", "CONTRIBUTING.md"),
            Page("Extend it", "擴充", "docs/extending.md"),
            Page("Decisions and dead ends", "決定與死路", "docs/decisions.md"),
            Page("Changes", "變更紀錄", "CHANGELOG.md"),
            Page("Security", "安全性", "SECURITY.md"),
            Page("Code of conduct", "行為準則", "CODE_OF_CONDUCT.md"),
        ),
    ),
)
