"""That what is said of supported models is measured, and holds for some types of every build."""

from __future__ import annotations

import pytest

from benchmarks.experiments.supported import wrong
from benchmarks.result import read_results
from benchmarks.supporting import check_type
from benchmarks.tiny import TASKS


# Text decoders of each kind that is built otherwise, and pictures in each form.
QUICK = {
    "causal-lm": "bloom falcon gemma3_text gpt2 llama mamba mpt qwen2_moe rwkv".split(),
    "image-text-to-text": (
        "blip-2 chameleon idefics idefics3 internvl kosmos-2 kosmos-2.5 llava_next minicpm_ocr mllama molmo2 "
        "paddleocr_vl paligemma qwen2_vl"
    ).split(),
}


@pytest.mark.parametrize(("task", "model_type"), [(task, kind) for task, kinds in QUICK.items() for kind in kinds])
def test_adapters_hold_on(task, model_type):
    if model_type not in TASKS[task]:
        pytest.skip(f"this version of transformers has no {model_type}")
    found = check_type(model_type, task)
    assert wrong([{"type": model_type, **found}]) == []
    assert found["verdict"] in ("holds", "text only"), found["reason"]


def test_no_type_is_silently_wrong():
    for task, result in read_results("supported").items():
        assert wrong(result.figures["rows"]) == [], task
