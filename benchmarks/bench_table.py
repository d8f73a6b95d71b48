"""The result of `make bench`: joined with what was measured before, and as a table for the documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alexnet.bench import HEAD, TASKS, rows


def with_earlier(result: dict[str, Any], earlier: dict[str, Any] | None) -> dict[str, Any]:
    """`result` with the tasks that were measured before on such a machine, and not now; each says when it was."""
    for task in result["tasks"].values():
        task["measured"] = {"date": result["date"], "commit": result["machine"]["commit"]} | {
            key: result["settings"][key] for key in ("reps", "seconds")
        }
    if earlier is None or any(earlier["machine"][key] != result["machine"][key] for key in ("cpu", "platform")):
        return result
    tasks = {**earlier["tasks"], **result["tasks"]}
    return {**result, "tasks": {name: tasks[name] for name in TASKS if name in tasks}}


def markdown(result: dict[str, Any]) -> str:
    """All tasks in one table, with how it was measured above and the versions below."""
    settings, machine = result["settings"], result["machine"]
    lines = [
        f"{machine['cpu']}, {settings['threads']} cores, {machine['platform']}; contenders in turns.",
        "",
        *_when(result["tasks"].values()),
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


def _when(tasks: Iterable[dict[str, Any]]) -> list[str]:
    """A line for all tasks that were measured in one run."""
    runs: dict[str, list[str]] = {}
    for task in tasks:
        values = task["measured"]
        how = f"{values['reps']} repetitions of {values['seconds']:g} s, {values['date']}, commit {values['commit']}"
        runs.setdefault(how, []).append(task["title"])
    if len(runs) == 1:
        return [f"All in one run: {how}." for how in runs]
    return [f"- {'; '.join(titles)}: {how}" for how, titles in runs.items()]


def _versions(result: dict[str, Any]) -> list[str]:
    """`contender: package version, ...`, each contender once and in the order of the table."""
    told: dict[str, None] = {}
    for task in result["tasks"].values():
        for values in task["contenders"].values():
            versions = values.get("versions", {})
            told.update(dict.fromkeys(f"{package} {version}" for package, version in versions.items()))
    return list(told)
