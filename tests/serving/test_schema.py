"""Requests made from the OpenAPI document, right and wrong: no failure, and no answer that it does not describe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("schemathesis")

TOKEN = "a-token-of-some-length"


@pytest.mark.slow
def test_no_request_brings_it_down(start, tiny_file, tmp_path, photo):
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    running = start(str(tiny_file), data=tmp_path / "photos", token=TOKEN, max_body_mib=1)
    command = [str(Path(sys.executable).with_name("schemathesis")), "run"]
    command += [f"http://127.0.0.1:{running.port}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}"]
    # The stateful phase follows links, of which the document has none. Each training would take minutes.
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--exclude-method", "DELETE"]
    command += ["--exclude-operation-id", "begin_v1_retraining_post", "--seed", "1"]
    command += [
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Tested: " in done.stdout
    assert running.ask("GET", "/readyz").status == 200
    assert list((tmp_path / "photos").iterdir()) == [tmp_path / "photos" / "cats"]
