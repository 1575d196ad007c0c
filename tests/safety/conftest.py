"""An adapter from which others are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import built
from tests.helpers.adapters import attach


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    model = built("llava")[0]
    attach(model)
    model.save_pretrained(folder)
    return folder
