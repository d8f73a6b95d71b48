"""Damaged files of every kind; `fuzz.py` beside this file goes on for as long as one likes."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alexnet.errors import UserError

_spec = importlib.util.spec_from_file_location("fuzz_readers", Path(__file__).with_name("fuzz.py"))
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)

QUICK = tuple(kind for kind in fuzz.KINDS if kind not in (".h5", ".keras"))  # those take a process each


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    found = fuzz.samples(tmp_path_factory.mktemp("samples"))
    assert all(found.values())
    return {kind: [file.read_bytes() for file in files] for kind, files in found.items()}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(QUICK), which=st.integers(0, 9), seed=st.integers(0, 2**32))
def test_damaged_files_are_refused_or_read(samples, kind, which, seed):
    import numpy as np

    contents = samples[kind]
    content = fuzz.damaged(contents[which % len(contents)], np.random.default_rng(seed))
    handle, name = tempfile.mkstemp(suffix=kind)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        fuzz.read(Path(name), kind)
    except UserError:
        pass
    finally:
        Path(name).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_the_fuzzer_finds_nothing(kind, tmp_path):
    pytest.importorskip("h5py")
    assert fuzz.loop(kind, fuzz.samples(tmp_path)[kind], seed=1, seconds=5) > 5
