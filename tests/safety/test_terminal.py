"""What others wrote is shown and does nothing else; a terminal of few letters and odd paths are no error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hf_eraser.hub.inspection import inspect_adapter
from hf_eraser.tuner.printable import printable


FORGED = "org/base\n  gate      calibrated\x1b[2K\r\u202e\u2028"


@given(st.text())
def test_printable_text_is_one_line_that_moves_no_cursor(text):
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


def changed(good: Path, folder: Path, **values: object) -> Path:
    shutil.copytree(good, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


@pytest.mark.parametrize("field", ["base_model_name_or_path", "revision", "base_model_type", "base_precision"])
def test_values_of_the_configuration_forge_no_line(field, good, tmp_path):
    expected = len(str(inspect_adapter(good)).splitlines())
    printed = str(inspect_adapter(changed(good, tmp_path / "adapter", **{field: FORGED})))
    assert len(printed.splitlines()) == expected
    assert all(line.isprintable() for line in printed.splitlines())


def test_names_of_tensors_and_folders_forge_no_line(good, tmp_path):
    folder = changed(good, tmp_path / "a\nUNUSUAL\x1b[2K")
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({f"x\n{FORGED}{name}": value for name, value in tensors.items()}, folder / "adapter_model.safetensors")
    printed = str(inspect_adapter(folder))
    assert len(printed.splitlines()) == len(str(inspect_adapter(good)).splitlines())
    assert all(line.isprintable() for line in printed.splitlines())


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "hf_eraser.cli", *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )


@pytest.mark.parametrize(
    "encoding",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0"}],
)
def test_terminal_of_few_letters_shows_a_unicode_path(encoding, good, tmp_path):
    folder = changed(good, tmp_path / "日本 Ægir", base_model_name_or_path="örg/bäse")
    result = run("inspect", folder, **encoding)
    assert result.returncode == 0, result.stderr
    assert b"Steering adapter" in result.stdout
    # As letters, or as the bytes that the file system has.
    assert any(shown in result.stdout for shown in (rb"\u65e5", rb"\udce6\udc97\udca5", "日本".encode()))


def test_error_about_a_hostile_file_is_one_line_without_control_characters(good, tmp_path):
    folder = changed(good, tmp_path / "a\x1b[2Kb", strength=FORGED, hidden_size=FORGED)
    result = run("inspect", folder, NO_COLOR="1")
    assert result.returncode == 1
    assert len(result.stderr.decode().splitlines()) == 1
    assert b"\x1b[2K" not in result.stderr
