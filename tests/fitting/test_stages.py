"""A fit that was interrupted goes on where it was, to the same adapter."""

from __future__ import annotations

import stat

import pytest
import torch

from hf_eraser import fit
from hf_eraser.fitting.stages import Stages
from tests.conftest import built
from tests.fitting.test_fit import FAST, people


class Counting:
    """Counts a model's forward passes, and interrupts the one that is numbered `last`."""

    def __init__(self, model, last: int | None = None) -> None:
        self.count, self._last = 0, last
        self._handle = model.register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.count += 1
        if self.count == self._last:
            self._handle.remove()
            raise KeyboardInterrupt


def fitted(model, processor, folder=None, **options):
    options = {**FAST, "harden_pictures": False, **options}
    # Several concepts, so that gates for all and for each are tried.
    fit(model, processor, people(2), people(8, start=2), resume=folder, **options)
    return model.get_adapter_state_dict()


def test_an_interrupted_fit_goes_on_to_the_same_adapter_bit_for_bit(tmp_path):
    model, processor = built("llava")
    passes = Counting(model)
    expected = fitted(model, processor)
    repeated = []
    for tenth in (1, 5, 7, 9):
        folder = tmp_path / str(tenth)
        model, processor = built("llava")
        before = Counting(model, passes.count * tenth // 10)
        with pytest.raises(KeyboardInterrupt):
            fitted(model, processor, folder)
        assert not getattr(model, "peft_config", {})
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
        after = Counting(model)
        found = fitted(model, processor, folder)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        assert not folder.exists()
        repeated.append(before.count + after.count - passes.count)
    # What is done is not done again: the later it was interrupted, the less of all of it.
    assert all(again < passes.count * tenth / 10 for again, tenth in zip(repeated[1:], (5, 7, 9)))


def test_stages_of_another_fit_are_refused(tmp_path):
    model, processor = built("llava")
    Counting(model, 12)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, processor, tmp_path / "stages")
    with pytest.raises(ValueError, match=r"`resume`=.* holds stages of another fit"):
        fitted(model, processor, tmp_path / "stages", seed=1)
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    with pytest.raises(ValueError, match=r"`resume`=.* holds stages of another fit"):
        fitted(model, processor, tmp_path / "stages")


def test_a_folder_that_holds_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match=r"must be a new folder.*thesis.txt"):
        Stages(tmp_path, "key")
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_a_stage_that_was_cut_off_while_it_was_kept_is_done_again(tmp_path):
    stages = Stages(tmp_path / "stages", "key")
    (tmp_path / "stages" / "gates.part").write_bytes(b"half of")
    assert Stages(tmp_path / "stages", "key")("gates", lambda: 1) == 1
    assert stages("gates", lambda: 2) == 1
