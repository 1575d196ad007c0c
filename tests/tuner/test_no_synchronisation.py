"""A step that only generates waits for no number of the accelerator: on tensors without values it runs as well."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.conftest import built
from tests.helpers.adapters import attach, picture


@pytest.mark.parametrize(
    "steered",
    [{"positions": "last"}, {"positions": "prompt"}, {"positions": "prompt", "steer_decode": True}],
    ids=["last token", "prompt", "generated tokens too"],
)
@torch.no_grad()
def test_a_decode_step_does_not_ask_for_a_value(steered):
    model, processor = built("llava")
    attach(model, readout="image", low=-60.0, high=-50.0, **steered)
    chat = [
        {"role": "user", "content": [{"type": "image", "image": picture(1)}, {"type": "text", "text": "Who is this?"}]}
    ]
    inputs: Any = processor.apply_chat_template(
        [chat], tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    prompt = model(**inputs, use_cache=True)
    token = prompt.logits[:, -1:].argmax(dim=-1)
    mask = torch.cat([inputs["attention_mask"], torch.ones(1, 1, dtype=torch.long)], dim=1)
    # A tensor of this mode has no values: whatever asks for one raises.
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        with pytest.raises(DataDependentOutputException):
            bool(mode.from_tensor(token) > 0)
        logits = model(input_ids=token, attention_mask=mask, past_key_values=prompt.past_key_values).logits
    assert logits.shape[:2] == (1, 1)
