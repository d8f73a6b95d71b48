"""The files of deploy/ name flags, paths, ports and tensors that there are."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from alexnet.cli.commands.serve import serve

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def flags_of(words: list[str]) -> set[str]:
    return {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}


def known_flags() -> set[str]:
    return set(inspect.signature(serve).parameters)


def test_flags_exist():
    docker = (DEPLOY / "Dockerfile").read_text()
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", docker, re.MULTILINE)
    words = re.findall(r'"([^"]+)"', entry)
    assert words[:2] == ["alexnet", "serve"]
    assert flags_of(words) <= known_flags()
    unit = (DEPLOY / "alexnet.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert flags_of(shlex.split(start)) <= known_flags()
    mentioned = {flag.replace("-", "_") for flag in re.findall(r"`--([\w-]+)", DOCS.partition("## Measured")[0])} - {
        "to",
        "json",
    }
    assert mentioned <= known_flags()


def test_paths_exist(service):
    paths = set(service.ask("GET", "/openapi.json").json()["paths"])
    manifest = (DEPLOY / "kubernetes.yaml").read_text()
    probed = re.findall(r"httpGet: \{path: (\S+),", manifest)
    assert probed == ["/healthz", "/readyz", "/healthz"]
    assert set(probed) <= paths
    assert "/readyz" in (DEPLOY / "Dockerfile").read_text()
    for path in re.findall(r"`(?:GET|POST) (/[\w./]+)", DOCS):
        assert path in paths | {"/openapi.json"}, path
    for template in paths:
        documented = template.replace("{name}", "NAME")
        assert documented in DOCS, template


def test_kinds_of_problems_are_documented():
    folder = Path(inspect.getfile(serve)).parents[2] / "serving"
    text = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    codes = set(re.findall(r'Problem\(\s*(?:\d+|error\.status_code),\s*"([\w-]+)"', text))
    codes |= set(re.findall(r'unavailable\(\s*"([\w-]+)"', text))
    assert len(codes) > 20
    assert {code for code in codes if f"`{code}`" not in DOCS} <= {"failed"}


def test_triton_takes_the_exported_graph(service):
    """Names, types and shapes are those of the exported ONNX file, and of this service's own metadata."""
    text = (DEPLOY / "config.pbtxt").read_text()
    (name, kind, dims) = re.findall(r'input \[\s*\{ name: "(\w+)" data_type: (\w+) dims: \[ ([^\]]*) \]', text)[0]
    facts = service.ask("GET", "/v2/models/small").json()
    assert (name, kind) == ("image", "TYPE_UINT8")
    assert name == facts["inputs"][0]["name"]
    assert kind == f"TYPE_{facts['inputs'][0]['datatype']}"
    # Triton leaves the batch dimension out.
    assert [int(side) for side in dims.split(",")] == facts["inputs"][0]["shape"][1:]
    (name, kind, _) = re.findall(r'output \[\s*\{ name: "(\w+)" data_type: (\w+) dims: \[ ([^\]]*) \]', text)[0]
    assert (name, kind) == ("probabilities", "TYPE_FP32")
    assert facts["outputs"][0]["name"] == name


def test_manifests_are_yaml():
    yaml = pytest.importorskip("yaml")
    deployment, exposed = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert exposed["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["alexnet"]
    assert compose["read_only"] is True
    assert compose["ports"] == ["127.0.0.1:8000:8000"]
