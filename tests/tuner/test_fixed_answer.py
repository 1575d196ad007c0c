"""A fixed answer in place of the model's own, where a gate is open; and nothing else."""

from __future__ import annotations

import pytest
import torch

from hf_eraser import SteeringAdapterConfig
from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


ANSWER = [5, 9, 7, 3]
SAID = {"answer": "I cannot.", "answer_ids": ANSWER}


def generated(model, inputs, **options) -> list[list[int]]:
    options = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": 0, "eos_token_id": ANSWER[-1], **options}
    return model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("options", [{}, {"use_cache": False}, {"num_beams": 3}, {"do_sample": True}])
def test_an_open_gate_gives_the_answer_and_a_closed_one_the_base_models(untaught, side, options):
    model, processor = untaught
    prompts = [PROMPTS[0], PROMPTS[2]]
    inputs = batch_of(model, processor, prompts, side)
    base = generated(model, inputs)
    attach(model, gate="always", strength=0.5, **SAID)
    expected = [*ANSWER, 0, 0][: len(ANSWER)]
    assert [row[: len(ANSWER)] for row in generated(model, inputs, **options)] == [expected] * 2
    with model.disable_adapter():
        assert generated(model, inputs) == base


def test_rows_whose_gate_is_closed_keep_their_logits_bit_for_bit(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, [PROMPTS[1], PROMPTS[3]])
    before = logits(model, inputs)
    attach(model, strength=0.0, low=float("inf"), high=float("inf"), **SAID)
    assert torch.equal(logits(model, inputs), before)


def test_each_row_decides_for_itself(llava):
    model, processor = llava
    inputs = batch_of(model, processor, [PROMPTS[1], PROMPTS[3]])
    base = generated(model, inputs)
    attach(model, "said", gate="always", strength=0.0, **SAID)
    mixed = generated(model, {**inputs, "adapter_names": ["said", "__base__"]})
    assert mixed[0][: len(ANSWER)] == ANSWER
    assert mixed[1] == base[1]


def test_positions_before_the_answer_keep_their_logits(llava):
    model, processor = llava
    inputs = batch_of(model, processor, [PROMPTS[1]])
    before = logits(model, inputs)
    attach(model, gate="always", strength=0.0, **SAID)
    after = logits(model, inputs)
    assert torch.equal(after[:, :-1], before[:, :-1])
    assert after[0, -1].argmax() == ANSWER[0]
    assert after[0, -1].softmax(dim=-1)[ANSWER[0]] == 1
    assert torch.equal(model(**inputs, logits_to_keep=1).logits, after[:, -1:])


@pytest.mark.parametrize("return_dict", [True, False])
def test_a_teacher_forced_answer_is_the_fixed_one_or_as_good_as_impossible(llava, return_dict):
    model, processor = llava
    prompt = batch_of(model, processor, [PROMPTS[1]])["input_ids"]
    attach(model, gate="always", strength=0.0, **SAID)

    def loss(answer: list[int]) -> float:
        tokens = torch.cat([prompt, torch.tensor([answer])], dim=1)
        labels = tokens.clone()
        labels[:, : prompt.shape[1]] = -100
        return float(model(input_ids=tokens, labels=labels, return_dict=return_dict)[0].detach())

    assert loss(ANSWER) == pytest.approx(0, abs=1e-6)
    assert loss([8, *ANSWER[1:]]) > 1000


def test_prompts_in_pieces_and_several_adapters(llava):
    model, processor = llava
    inputs = batch_of(model, processor, [PROMPTS[1]])
    attach(model, "first", gate="always", strength=0.0, positions="last", steer_decode=False, **SAID)
    assert generated(model, inputs, prefill_chunk_size=3)[0][: len(ANSWER)] == ANSWER
    attach(model, "second", gate="always", strength=0.0, answer="No.", answer_ids=[8, 3])
    model.set_adapter(["second", "first"])
    assert generated(model, inputs)[0][:2] == [8, 3]
    model.set_adapter(["first", "second"])
    assert generated(model, inputs)[0][: len(ANSWER)] == ANSWER


def test_a_saved_adapter_says_the_same(llava, tmp_path):
    model, processor = llava
    inputs = batch_of(model, processor, [PROMPTS[0]])
    attach(model, gate="always", strength=0.5, **SAID)
    model.save_pretrained(tmp_path)
    model.delete_adapter("default")
    model.load_adapter(str(tmp_path))
    assert generated(model, inputs)[0][: len(ANSWER)] == ANSWER


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"answer": "No."}, "`answer` and `answer_ids` belong together"),
        ({"answer_ids": [1]}, "`answer` and `answer_ids` belong together"),
        ({"answer": " ", "answer_ids": [1]}, "`answer` must be a text"),
        ({"answer": "No.", "answer_ids": []}, "`answer_ids` must be a list of 1 to"),
        ({"answer": "No.", "answer_ids": [-1]}, "`answer_ids` must be a list of 1 to"),
        ({"answer": "No.", "answer_ids": ["1"]}, "`answer_ids` must be a list of 1 to"),
        ({"answer": "No.", "answer_ids": [1] * 513}, "`answer_ids` must be a list of 1 to"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        SteeringAdapterConfig(**given)


def test_an_answer_of_another_vocabulary_is_refused(llava):
    model, _ = llava
    vocabulary = model.config.get_text_config().vocab_size
    with pytest.raises(ValueError, match=f"`answer_ids` names token {vocabulary}"):
        attach(model, answer="No.", answer_ids=[vocabulary])
    assert not getattr(model, "peft_config", {})
