"""Readouts and gates against plain loops, over many shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_eraser.tuner.fields import GATE_MODES, READOUTS
from hf_eraser.tuner.gate import gate_scores, gate_values
from hf_eraser.tuner.readouts import ReadoutSums


def plain_readout(hidden, prompt_mask, image_mask, readout):
    """The definition, a row and a token at a time."""
    if readout == "joined":
        return torch.cat([plain_readout(hidden, prompt_mask, image_mask, part) for part in ("last", "prompt")], dim=1)
    rows = []
    for row, prompt, image in zip(hidden.double(), prompt_mask, image_mask):
        positions = [i for i in range(len(prompt)) if prompt[i]]
        pictured = [i for i in positions if image[i]]
        other = [i for i in positions if not image[i]]
        if readout == "last":
            chosen = positions[-1:]
        elif readout == "prompt" or (readout == "image" and not pictured):
            chosen = positions
        else:
            chosen = pictured if readout == "image" else other
        rows.append(sum((row[i] for i in chosen), torch.zeros(row.shape[-1]).double()) / max(len(chosen), 1))
    return torch.stack(rows)


@st.composite
def batches(draw):
    batch, length, width = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    hidden = torch.randn(batch, length, width, generator=generator)
    prompt = torch.rand(batch, length, generator=generator) < 0.8
    prompt[:, draw(st.integers(0, length - 1))] = True
    image = torch.rand(batch, length, generator=generator) < draw(st.sampled_from([0.0, 0.4]))
    return hidden, prompt, image


@settings(max_examples=60)
@given(batches(), st.sampled_from(READOUTS))
def test_readout_is_the_mean_that_its_name_says(batch, readout):
    hidden, prompt, image = batch
    read = ReadoutSums.of(hidden, prompt, image).read(readout)
    torch.testing.assert_close(read.double(), plain_readout(hidden, prompt, image, readout), rtol=1e-5, atol=1e-6)


@settings(max_examples=60)
@given(batches(), st.sampled_from(READOUTS), st.sampled_from(READOUTS))
def test_prompts_without_an_image_are_read_by_the_text_readout(batch, readout, text_readout):
    sums = ReadoutSums.of(*batch)
    read = sums.read(readout, text_readout)
    for row, has_image in zip(range(len(read)), sums.has_image):
        own = sums.read(readout if has_image else text_readout)[row]
        assert torch.equal(read[row, : len(own)], own)
        assert not read[row, len(own) :].any()


@settings(max_examples=60)
@given(batches(), st.sampled_from(READOUTS), st.data())
def test_sums_over_pieces_add_up_to_the_sums_over_the_whole(batch, readout, data):
    hidden, prompt, image = batch
    cut = data.draw(st.integers(0, hidden.shape[1] - 1))
    pieces = [
        ReadoutSums.of(hidden[:, part], prompt[:, part], image[:, part])
        for part in (slice(0, cut), slice(cut, None))
        if hidden[:, part].shape[1]
    ]
    whole = ReadoutSums.of(hidden, prompt, image)
    added = pieces[0] + pieces[1] if len(pieces) == 2 else pieces[0]
    torch.testing.assert_close(added.read(readout), whole.read(readout), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("readout", READOUTS)
def test_padding_is_never_read_whatever_it_holds(readout):
    hidden = torch.randn(2, 6, 4)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]).bool()
    image = torch.zeros_like(mask)
    image[:, 2] = True
    clean = ReadoutSums.of(hidden, mask, image).read(readout)
    hidden[~mask] = torch.nan
    assert torch.equal(ReadoutSums.of(hidden, mask, image).read(readout), clean)


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 8), st.sampled_from(GATE_MODES), st.integers(0, 1000))
def test_gate_follows_its_definition_for_each_row(batch, rank, width, mode, seed):
    generator = torch.Generator().manual_seed(seed)
    readout = torch.randn(batch, width, generator=generator)
    weight = torch.randn(2, rank, width, generator=generator)
    bounds = torch.randn(2, rank, 2, generator=generator).sort(dim=-1).values
    bounds[torch.rand(2, rank, generator=generator) < 0.2] = torch.inf
    has_image = torch.rand(batch, generator=generator) < 0.5
    gate = gate_values(gate_scores(readout, has_image, weight), has_image, bounds, mode)
    for row in range(batch):
        axis = 0 if has_image[row] else 1
        for k in range(rank):
            score = float(weight[axis, k].double() @ readout[row].double())
            low, high = bounds[axis, k].tolist()
            if mode == "always":
                expected = 1.0
            elif low == float("inf"):
                expected = 0.0
            elif mode == "linear":
                expected = max(score, 0.0)
            else:
                expected = min(max((score - low) / (high - low), 0.0), 1.0)
            assert float(gate[row, k]) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_calibrated_gate_is_exactly_zero_up_to_its_lower_bound():
    scores = torch.tensor([[-3.0], [0.2], [0.3], [1.0]])
    bounds = torch.tensor([[[0.2, 0.4]], [[0.2, 0.4]]])
    gate = gate_values(scores, torch.ones(4, dtype=torch.bool), bounds, "calibrated")
    assert gate[:2].tolist() == [[0.0], [0.0]]
    assert gate[2].item() == pytest.approx(0.5)
    assert gate[3].item() == 1.0


def test_score_of_a_row_does_not_depend_on_its_neighbours_to_the_last_bit():
    readout, weight = torch.randn(33, 160), torch.randn(2, 3, 160)
    has_image = torch.rand(33) < 0.5
    together = gate_scores(readout, has_image, weight)
    alone = torch.cat([gate_scores(readout[i : i + 1], has_image[i : i + 1], weight) for i in range(33)])
    assert torch.equal(together, alone)
