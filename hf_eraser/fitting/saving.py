"""A fitted adapter saved with its report."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from ..hub.adapter_folder import EVALUATION_FILE, PICTURE_FILE, REPORT_FILE
from ..hub.saving import saved_whole
from .report.report import FitReport


def save_fit(model: Any, report: FitReport, folder: str | os.PathLike[str]) -> None:
    """
    Save a fitted adapter with its report, as JSON and as a picture if matplotlib is installed.

    Warns:
        UserWarning: If there is no picture, or card and evaluation of an adapter that was replaced are left.
    """
    with saved_whole(folder) as staging:
        model.save_pretrained(staging)
        report.to_json(staging / REPORT_FILE)
        try:
            report.plot().savefig(staging / PICTURE_FILE)
        except ImportError as error:
            warnings.warn(f"The report is saved without its picture. {error}", stacklevel=2)
    if stale := [name for name in ("README.md", EVALUATION_FILE) if Path(folder, name).exists()]:
        warnings.warn(f"{folder} still holds {stale} of the adapter that was replaced.", stacklevel=2)


def save_recalibrated(model: Any, folder: str | os.PathLike[str]) -> None:
    """
    Save a recalibrated adapter; what a report or an evaluation beside it says is of the thresholds before.

    Warns:
        UserWarning: If the folder holds those.
    """
    with saved_whole(folder) as staging:
        model.save_pretrained(staging)
    stale = [name for name in (REPORT_FILE, PICTURE_FILE, EVALUATION_FILE, "README.md") if Path(folder, name).exists()]
    if stale:
        warnings.warn(f"{folder} still holds {stale} of the adapter that was replaced.", stacklevel=2)
