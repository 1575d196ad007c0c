"""The split-conformal bound: what it promises, and that nothing which calibrates has a part in anything else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_eraser import fit
from hf_eraser.fitting.gates.calibration import separate_thresholds
from tests.fitting.test_fit import FAST, people


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(8, 30), st.floats(0.15, 0.5), st.integers(0, 10_000))
def test_an_input_of_a_new_group_opens_any_gate_no_more_often_than_alpha(n_gates, n_groups, alpha, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 5, (n_groups,), generator=generator).tolist()
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]

    def scores(n: int, shift: float) -> torch.Tensor:
        # Spreads of gates, and groups, differ.
        spread = 10 ** (4 * torch.rand(1, generator=generator, dtype=torch.float64) - 2)
        return shift + spread * torch.randn(n, generator=generator, dtype=torch.float64)

    known = [(scores(20, 1.0), scores(50, 0.0)) for _ in range(n_gates)]
    retain = torch.stack([scores(len(groups), 0.0) for _ in range(n_gates)])
    # Each group in turn is the new one: over all turns, that is what exchangeable groups give.
    opened = 0.0
    for new in range(n_groups):
        others = [row for row, group in enumerate(groups) if group != new]
        own = [row for row, group in enumerate(groups) if group == new]
        found = separate_thresholds(known, list(retain[:, others]), [groups[row] for row in others], alpha=alpha)
        above = retain[:, own] > torch.tensor(found.values, dtype=torch.float64)[:, None]
        opened += float(above.any(dim=0).double().mean())
    assert opened / n_groups <= alpha + 1e-6


def test_what_calibrates_fits_and_chooses_nothing(untaught):
    model, processor = untaught
    options = {**FAST, "alpha": 0.2, "calibration": "split", "harden_pictures": False}
    report = fit(model, processor, people(2), people(15, start=2), **options)
    # A third of the groups sets the threshold, and what the others score is shown as held out.
    assert report.calibration["image"].n_groups == 5
    assert report.calibration["image"].false_rate <= 0.2
    assert model.active_adapters() == ["default"]


def test_too_few_groups_are_refused_before_anything_is_read(untaught):
    model, processor = untaught
    with pytest.raises(ValueError, match=r"needs 19 retained groups with a picture .* and there are 2"):
        fit(model, processor, people(2), people(6, start=2), **FAST, calibration="split")
    assert not getattr(model, "peft_config", {})
