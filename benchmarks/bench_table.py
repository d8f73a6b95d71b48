"""The result of `make bench` as a table for the documents."""

from __future__ import annotations

from typing import Any

from alexnet.bench import HEAD, rows


def markdown(result: dict[str, Any]) -> str:
    """All tasks in one table, with how it was measured above and the versions below."""
    settings, machine = result["settings"], result["machine"]
    lines = [
        f"{machine['cpu']}, {settings['threads']} cores, {machine['platform']}; {settings['reps']} repetitions of "
        f"{settings['seconds']:g} s each, in turns; {result['date']}, commit {machine['commit']}.",
        "",
        "| " + " | ".join(("task", *HEAD)) + " |",
        "|---" * (len(HEAD) + 1) + "|",
    ]
    for task in result["tasks"].values():
        title = task["title"] + ("" if task["higher_is_better"] else " (less is better)")
        for cells in rows(task):
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (title, *cells)) + " |")
            title = ""
    return "\n".join([*lines, "", f"Versions: {'; '.join(_versions(result))}."])


def _versions(result: dict[str, Any]) -> list[str]:
    """`contender: package version, ...`, each contender once and in the order of the table."""
    told: dict[str, None] = {}
    for task in result["tasks"].values():
        for values in task["contenders"].values():
            versions = values.get("versions", {})
            told.update(dict.fromkeys(f"{package} {version}" for package, version in versions.items()))
    return list(told)
