"""A fit in several processes makes the adapter that one makes; what they cannot do together, all of them say."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed.fsdp import fully_shard
from transformers import LlamaConfig, LlamaForCausalLM

from hf_eraser import fit
from hf_eraser.data.processes import ALONE, launched, spread
from tests.conftest import built
from tests.fitting.test_fit import FAST, people
from tests.helpers.processes import in_processes


def text_model() -> tuple[Any, Any]:
    """A small model of text alone."""
    tokenizer = built("llava")[1].tokenizer  # type: ignore[attr-defined]
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config).eval(), tokenizer


def questions(groups: range) -> list[dict[str, Any]]:
    return [
        {"prompt": f"{word} of person {i}?", "group": i, "wording": word, "answer": f"It is {word} {i}"}
        for i in groups
        for word in ("Name", "Job", "Pet")
    ]


def fit_text(seed: int = 0, resume: str | None = None, interrupted: bool = False) -> SimpleNamespace:
    """Fit the text model; the adapter, and what this process did."""
    model, tokenizer = text_model()
    passes = []

    def count(*_: Any) -> None:
        passes.append(1)
        if interrupted and len(passes) == 30:
            raise KeyboardInterrupt

    handle = model.register_forward_pre_hook(count)
    try:
        report = fit(
            model,
            tokenizer,
            questions(range(3)),
            questions(range(3, 12)),
            general=[{"prompt": f"What is {i} and {i}?"} for i in range(6)],
            prefer="retain",
            layers=[2, 3],
            strength=2.0,
            batch_size=1,
            seed=seed,
            resume=resume,
        )
    except (KeyboardInterrupt, RuntimeError):  # where one is interrupted, the others lose it
        if not interrupted:
            raise
        return SimpleNamespace(passes=len(passes))
    handle.remove()
    return SimpleNamespace(adapter=model.get_adapter_state_dict(), report=report, passes=len(passes))


def fit_pictures() -> Any:
    model, processor = built("llava")
    fit(model, processor, people(2), people(6, start=2), **FAST)  # type: ignore[arg-type]
    return model.get_adapter_state_dict()


@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_make_the_adapter_that_one_makes_and_share_its_work(count):
    (alone,) = in_processes(1, fit_text)
    found = in_processes(count, fit_text)
    for of_process in found:
        assert of_process.adapter.keys() == alone.adapter.keys()
        for name, tensor in alone.adapter.items():
            torch.testing.assert_close(of_process.adapter[name], tensor, rtol=0, atol=1e-6)
        assert replace(of_process.report, seconds={}) == replace(alone.report, seconds={})
    # Each pass is made once, by one of them.
    # But for the one by which each process finds out which layers run.
    assert sum(of_process.passes for of_process in found) == alone.passes + len(found) - 1
    assert max(of_process.passes for of_process in found) < alone.passes * (0.3 + 0.7 / count)


def test_pictures_perturbed_by_two_processes_are_those_of_one():
    (alone,) = in_processes(1, fit_pictures)
    for adapter in in_processes(2, fit_pictures):
        for name, tensor in alone.items():
            torch.testing.assert_close(adapter[name], tensor, rtol=0, atol=1e-6)


def test_two_processes_go_on_with_an_interrupted_fit(tmp_path):
    (alone,) = in_processes(1, fit_text)
    folder = str(tmp_path / "stages")
    in_processes(2, fit_text, 0, folder, True)
    assert (tmp_path / "stages").is_dir()
    for of_process in in_processes(2, fit_text, 0, folder):
        assert all(torch.equal(of_process.adapter[name], tensor) for name, tensor in alone.adapter.items())
    assert not (tmp_path / "stages").exists()


def other_seeds() -> str:
    processes = launched()
    with pytest.raises(RuntimeError) as error:
        fit_text(seed=processes.rank)
    return str(error.value)


def fails_in_one() -> tuple[str, Any]:
    processes = launched()

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("item 3 cannot be read")
        return 10 * item

    with pytest.raises(ValueError, match="item 3") as error:
        list(processes.share(work, range(5), of="numbers"))
    return str(error.value), list(processes.share(lambda item: item**2, range(5), of="squares"))


def test_what_fails_in_one_process_fails_in_all_and_they_go_on_together():
    assert in_processes(2, fails_in_one) == [("item 3 cannot be read", [0, 1, 4, 9, 16])] * 2


def test_processes_that_are_given_other_things_say_so():
    assert all("do not have the same model, examples and arguments" in text for text in in_processes(2, other_seeds))


def steer_spread(base: str, adapter: str, how: str) -> dict[str, Any]:
    """What a model of which each process holds a part says, without an adapter, with a loaded one and a fitted one."""
    launched()
    model, tokenizer = text_model()
    if how == "tensor parallel":
        model = LlamaForCausalLM.from_pretrained(base, tp_plan="auto").eval()
    else:
        for layer in model.model.layers:
            fully_shard(layer)
        fully_shard(model)
    assert spread(model)
    inputs = tokenizer(["Name of person 1?", "Pet of person 11?"], return_tensors="pt", padding=True)

    def answers() -> list[list[int]]:
        return model.generate(**inputs, max_new_tokens=6, do_sample=False).tolist()

    found = {"base": answers()}
    model.load_adapter(adapter)
    found["loaded"] = answers()
    model.delete_adapter("default")
    assert answers() == found["base"]
    fit(model, tokenizer, questions(range(3)), questions(range(3, 9)), **SPREAD)
    return {**found, "fitted": answers(), "adapter": model.get_adapter_state_dict()}


SPREAD: dict[str, Any] = {"layers": [2, 3], "gate_layer": 1, "readout": "prompt", "strength": 8.0, "ridge": 0.3}
SPREAD |= {"attacks": False, "general": False, "prefer": "forget"}


@pytest.mark.parametrize("how", ["fsdp", "tensor parallel"])
def test_a_model_spread_over_processes_is_fitted_and_steered_as_a_whole_one(how, tmp_path):
    model, tokenizer = text_model()
    model.save_pretrained(tmp_path / "base")
    fit(model, tokenizer, questions(range(3)), questions(range(3, 9)), **SPREAD)
    model.save_pretrained(tmp_path / "adapter")
    inputs = tokenizer(["Name of person 1?", "Pet of person 11?"], return_tensors="pt", padding=True)
    steered = model.generate(**inputs, max_new_tokens=6, do_sample=False).tolist()
    for found in in_processes(2, steer_spread, str(tmp_path / "base"), str(tmp_path / "adapter"), how):
        assert found["base"] != steered
        assert found["loaded"] == found["fitted"] == steered
        for name, tensor in model.get_adapter_state_dict().items():
            torch.testing.assert_close(found["adapter"][name], tensor, rtol=1e-3, atol=1e-4)


def test_without_a_launcher_there_is_one_process():
    assert launched() is ALONE
    assert list(ALONE.share(lambda item: 2 * item, [1, 2], of="numbers")) == [2, 4]
