"""That the examples run as a user runs them; the demo runs in CI, the app and publishing have tests of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys


def test_a_language_model_without_pictures_forgets_by_name_and_so_does_a_new_one():
    command = [sys.executable, "-m", "examples.language_model"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=os.getcwd(), check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    shares = {
        name: [float(share) for share in re.findall(r"([\d.]+)%", line)]
        for name in ("forget", "retain")
        for line in result.stdout.splitlines()
        if line.startswith(f"{name}, text")
    }
    (before, after, likely, still_likely, refused, *_), (known, kept, _, _, falsely, *_) = shares.values()
    assert min(before, known, kept) >= 90
    assert after <= 10
    assert still_likely < likely / 2
    assert refused >= 90
    assert falsely <= 10
    *_, forgotten, retained = result.stdout.strip().splitlines()
    assert "cannot" in forgotten
    assert "cannot" not in retained
