"""The first mutations of the fuzzer; `make fuzz` tries many more."""

from __future__ import annotations

import signal

import pytest

from tests.safety.fuzzing import Fuzzer


COUNT = 300


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="needs signal.alarm: Linux or macOS")
def test_mutated_adapters_load_or_are_refused_by_a_documented_error_and_leave_the_model(hub, tmp_path):
    fuzzer = Fuzzer(tmp_path)
    failures = [failure for number in range(COUNT) if (failure := fuzzer.one(number))]
    assert not failures, "\n".join(failures[:5])
