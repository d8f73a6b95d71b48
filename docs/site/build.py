"""Build the documentation site into build/docs/site, in English and in Traditional Chinese.

    python docs/site/build.py            build it; warnings are errors
    python docs/site/build.py --stage    write the pages that would be built, without building them

The repository's own Markdown files are the pages: README.md is the home page, and links that lead out of docs/ (to
benchmarks/, studies/, a source file) are led to copies. Pages that are not translated yet stand in the Chinese site
in English, with a line that says so. Needs `pip install 'alexnet[docs]'`; nothing is fetched from the network.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parent))
import nav
import reference

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "docs"
LANGUAGES = {"en": "en", "zh": "zh-TW"}
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_NOT_YET = '!!! note "這一頁還沒有中文版"\n\n    以下是英文原文。指令、程式碼與數字和中文頁相同。\n\n'


def pages() -> list[nav.Section]:
    """The navigation with the pages that there are; those it does not name, at the end of the how-to pages."""
    named = {page.file for section in nav.NAV for page in section.pages}
    others = [
        nav.Page(title(path), title(zh) if (zh := chinese(name)).exists() else title(path), name)
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if (name := path.relative_to(ROOT).as_posix()) not in named and not name.startswith("docs/zh-TW/")
    ]
    sections = []
    for section in nav.NAV:
        found = [p for p in section.pages if p.file.startswith("reference/") or (ROOT / p.file).exists()]
        if section.en == nav.HOW_TO:
            found += others
        sections.append(section._replace(pages=tuple(found)))
    return sections


def title(path: Path) -> str:
    """The first heading of a Markdown file."""
    found = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else path.stem


def chinese(name: str) -> Path:
    """Where the Chinese page of an English one lies, which may not be there."""
    if name.startswith("docs/"):
        return ROOT / "docs" / "zh-TW" / name.removeprefix("docs/")
    return ROOT / f"{name.removesuffix('.md')}.zh-TW.md"


def staged(name: str) -> str:
    """The place in the site of a file of the repository, given by its path there."""
    if name in ("README.md", "README.zh-TW.md"):
        return "index.md"
    if name.endswith(".zh-TW.md"):
        return name.replace(".zh-TW.md", ".md")
    return name.removeprefix("docs/zh-TW/").removeprefix("docs/")


def rewritten(text: str, source: str, language: str, wanted: set[str]) -> str:
    """`text`, the page `source`, with its links led to where their files lie in the site; those go into `wanted`."""
    home = PurePosixPath(source).parent

    def lead(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        path, hash_, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        name = posixpath.normpath(home / path)
        if not (ROOT / name).exists():
            sys.exit(f"{source}: there is no {path}")
        other = "README.zh-TW.md" if language == "en" else "README.md"
        if name == other:  # the other language's site
            there = "zh-TW/" if language == "en" else "../"
            return f"{before}{there}{after}"
        if (ROOT / name).is_dir():
            name = f"{name}/README.md" if (ROOT / name / "README.md").exists() else f"{name}/"
        wanted.add(name)
        there = posixpath.relpath(staged(name), PurePosixPath(staged(source)).parent)
        return f"{before}{there}{'/' if name.endswith('/') else ''}{hash_}{anchor}{after}"

    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(lead, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, _LINK.sub(lead, text[at:])])


def headings(text: str) -> list[re.Match[str]]:
    """The headings of a page below its title, in order; `#` in blocks of code are none."""
    fences = [fence.span() for fence in _FENCE.finditer(text)]
    found = re.finditer(r"^(##+) (.+)$", text, re.MULTILINE)
    return [match for match in found if not any(a <= match.start() < b for a, b in fences)]


def slug(heading: str) -> str:
    """The anchor of an English heading, as Python-Markdown makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def with_anchors(text: str, english: str) -> str:
    """A Chinese page whose headings have the anchors of the English ones."""
    theirs, parts, at = headings(english), [], 0
    for match, twin in zip(headings(text), theirs, strict=False):
        parts += [text[at : match.end()], f" {{#{slug(twin[2])}}}"]
        at = match.end()
    return "".join([*parts, text[at:]])


def stage(language: str) -> Path:
    """Write the pages of one language, with all that they link to; return their folder."""
    folder = BUILD / f"pages-{LANGUAGES[language]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted: set[str] = set()
    done = set()
    for page in [nav.HOME, *(page for section in pages() for page in section.pages)]:
        if page.file.startswith("reference/"):
            continue
        translated = chinese(page.file)
        source = ROOT / page.file if language == "en" or not translated.exists() else translated
        text = source.read_text(encoding="utf-8")
        name = source.relative_to(ROOT).as_posix()
        if source == translated:
            text = with_anchors(text, (ROOT / page.file).read_text(encoding="utf-8"))
        text = rewritten(text, name, language, wanted)
        if language == "zh" and source != translated:
            heading, _, rest = text.partition("\n")
            text = f"{heading}\n\n{_NOT_YET}{rest.lstrip()}"
        target = folder / staged(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        done.add(staged(name))
    for name in sorted(wanted):
        target, source = folder / staged(name), ROOT / name
        if staged(name) in done:
            continue
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for name, text in reference.pages().items():
        target = folder / "reference" / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
    shutil.copyfile(Path(__file__).parent / "style.css", folder / "style.css")
    return folder


def config(language: str) -> str:
    """The site's settings in one language, as TOML."""
    entries = [f'  {{ "{getattr(nav.HOME, language)}" = "index.md" }},']
    for section in pages():
        inside = ", ".join(f'{{ "{getattr(page, language)}" = "{staged(page.file)}" }}' for page in section.pages)
        if inside:
            entries.append(f'  {{ "{getattr(section, language)}" = [{inside}] }},')
    template = (Path(__file__).parent / f"zensical.{LANGUAGES[language]}.toml").read_text(encoding="utf-8")
    return template.replace("nav = []", "nav = [\n{}\n]".format("\n".join(entries)))


def main() -> None:
    """Stage both languages, and build them."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for language, tag in LANGUAGES.items():
        stage(language)
        settings = BUILD / f"zensical.{tag}.toml"
        settings.write_text(config(language), encoding="utf-8")
    if "--stage" in sys.argv:
        return
    shutil.rmtree(BUILD / "site", ignore_errors=True)
    for tag in LANGUAGES.values():  # English first: it clears the folder that the Chinese site lies in
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", f"zensical.{tag}.toml"]
        done = subprocess.run(command, cwd=BUILD, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr))
    print(f"open {BUILD / 'site' / 'index.html'}")


if __name__ == "__main__":
    main()
