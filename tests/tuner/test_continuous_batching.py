"""`generate_batch`: each request is decided by itself, whatever else is in the batch, and as `generate` decides it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

from hf_eraser import SteeringAdapterConfig
from tests.helpers.adapters import attach


LENGTH = 8


@pytest.fixture
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=6,
        num_attention_heads=4,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def prompts(*lengths: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(2, 64, (n,), generator=generator).tolist() for n in lengths]


def settings(**settings: Any) -> ContinuousBatchingConfig:
    return ContinuousBatchingConfig(**{"page_size": 8, "num_blocks": 128, "max_batch_tokens": 64, **settings})


def greedy() -> GenerationConfig:
    return GenerationConfig(max_new_tokens=LENGTH, do_sample=False, eos_token_id=-1, pad_token_id=0)


def generated(model: Any, prompt: Sequence[int]) -> list[int]:
    out = model.generate(torch.tensor([prompt]), max_new_tokens=LENGTH, do_sample=False, eos_token_id=None)
    return out[0, len(prompt) :].tolist()


def batched(model: Any, asked: Sequence[Sequence[int]], **options: Any) -> list[list[int]]:
    found = model.generate_batch(
        list(asked), generation_config=greedy(), continuous_batching_config=settings(**options)
    )
    assert [result.error for result in found.values()] == [None] * len(asked)
    return [result.generated_tokens for result in found.values()]


def open_and_shut(model: Any, asked: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Which of the prompts are steered, and which are not; some of each."""
    steered = [generated(model, prompt) for prompt in asked]
    with model.disable_adapter():
        base = [generated(model, prompt) for prompt in asked]
    changed = [i for i, (one, other) in enumerate(zip(steered, base)) if one != other]
    same = [i for i in range(len(asked)) if i not in changed]
    assert changed
    assert same
    return changed, same


@pytest.mark.parametrize("steer_decode", [False, True])
@pytest.mark.parametrize("readout", ["prompt", "last", "joined"])
@pytest.mark.parametrize("tokens", [64, 7])
def test_requests_get_the_texts_of_generate_row_by_row(llama, readout, steer_decode, tokens):
    attach(llama, positions="last", steer_decode=steer_decode, readout=readout, strength=6.0)
    asked = prompts(3, 40, 17, 26, 9, 8, 33, 5, 16, 21)
    open_and_shut(llama, asked)
    # Long prompts come in pieces of few tokens, beside others that are generating already.
    assert batched(llama, asked, max_batch_tokens=tokens) == [generated(llama, prompt) for prompt in asked]


def test_several_adapters_one_with_a_gate_at_each_layer(llama):
    attach(llama, "one", positions="last", steer_decode=False, strength=6.0)
    attach(llama, "two", positions="last", gate_layer=None, layers_to_transform=[3, 5], seed=3, strength=6.0)
    llama.set_adapter(["one", "two"])
    asked = prompts(3, 40, 17, 26, 9, 8, 33)
    assert batched(llama, asked, max_batch_tokens=9) == [generated(llama, prompt) for prompt in asked]


def test_a_fixed_answer_is_put_out_where_a_gate_opens(llama):
    attach(llama, positions="last", steer_decode=False, answer="no no", answer_ids=[5, 6, 7])
    asked = prompts(3, 40, 17, 26, 9, 8, 33)
    expected = [generated(llama, prompt) for prompt in asked]
    assert any(text[:3] == [5, 6, 7] for text in expected)
    assert any(text[:3] != [5, 6, 7] for text in expected)
    assert batched(llama, asked, max_batch_tokens=9) == expected


class Asking:
    """A manager to which requests are given one after the other."""

    def __init__(self, model: Any, **options: Any) -> None:
        self.manager = model.init_continuous_batching(greedy(), settings(**options))
        self.manager.start()

    def ask(self, prompt: list[int], **options: Any) -> list[int]:
        name = self.manager.add_request(prompt, max_new_tokens=LENGTH, **options)
        result = self.manager.get_result(name, timeout=60)
        while result is not None and not result.is_finished():
            result = self.manager.get_result(name, timeout=60)
        assert result is not None
        if result.error is not None:
            raise RuntimeError(result.error)
        return result.generated_tokens


@pytest.fixture
def asking(llama) -> Iterator[Any]:
    begun: list[Asking] = []

    def begin(**options: Any) -> Asking:
        begun.append(Asking(llama, **options))
        return begun[-1]

    yield begin
    for one in begun:
        one.manager.stop(block=True, timeout=30)
        one.manager.destroy()


def test_a_prompt_behind_a_shared_prefix_is_read_whole(llama, asking):
    attach(llama, positions="last", steer_decode=False, strength=6.0, readout="joined")
    prefix, *ends = prompts(16, 13, 19, 25, 14, 18, 31, 12, 17)
    asked = [prefix + end for end in ends]
    open_and_shut(llama, asked)
    expected = [generated(llama, prompt) for prompt in asked]
    session, matches = asking(), []
    assert session.ask(asked[0]) == expected[0]
    cache = session.manager.batch_processor.cache
    search = cache.search_prefix_match

    def counted(*args: Any) -> int:
        matches.append(search(*args))
        return matches[-1]

    cache.search_prefix_match = counted
    assert [session.ask(prompt) for prompt in asked[1:]] == expected[1:]
    assert matches == [16] * 7


def test_no_request_goes_on_behind_what_a_steered_one_has_written(llama, asking):
    attach(llama, positions="last", steer_decode=True, strength=6.0, readout="last")
    asked = [prompt for prompt in prompts(*[16] * 12) if prompt]
    steered, _ = open_and_shut(llama, asked)
    session = asking()
    for i in steered:
        assert session.ask(asked[i]) == generated(llama, asked[i])
        for more in prompts(1, 5, 9, seed=i):
            longer = asked[i] + more
            assert session.ask(longer) == generated(llama, longer)


def test_requests_that_were_begun_unsteered_end_so_and_later_ones_are_steered(llama, asking):
    attach(llama, positions="last", steer_decode=False, strength=6.0, readout="prompt")
    asked = prompts(20, 40, 17, 26, 9, 8)
    changed, _ = open_and_shut(llama, asked)
    prompt = asked[changed[0]]
    session = asking()
    steered = generated(llama, prompt)
    assert session.ask(prompt) == steered
    llama.disable_adapters()
    unsteered = session.ask(prompt)
    assert unsteered != steered
    llama.enable_adapters()
    assert session.ask(prompt) == steered


def test_what_is_forked_is_decided_as_its_parent(llama):
    attach(llama, positions="last", steer_decode=False, strength=6.0)
    asked = prompts(3, 40, 17, 26, 9, 8, 33)
    twice = greedy()
    twice.num_return_sequences = 2  # given to the constructor, it is refused for greedy decoding
    found = llama.generate_batch(
        asked, generation_config=twice, continuous_batching_config=settings(max_batch_tokens=16)
    )
    texts = [result.generated_tokens for result in found.values()]
    assert texts == [text for prompt in asked for text in [generated(llama, prompt)] * 2]


def test_what_did_not_fit_the_cache_is_read_again(llama):
    attach(llama, positions="last", steer_decode=False, strength=6.0)
    asked = prompts(30, 28, 31, 29, 27, 30)
    expected = [generated(llama, prompt) for prompt in asked]
    assert batched(llama, asked, num_blocks=14, max_batch_tokens=64) == expected


def test_an_adapter_that_steers_the_whole_prompt_is_refused_before_anything_runs(llama):
    attach(llama, positions="prompt")
    with pytest.raises(ValueError, match="steer the whole prompt"):
        llama.generate_batch(prompts(3), generation_config=greedy(), continuous_batching_config=settings())


def test_a_manager_that_runs_already_keeps_an_adapter_out(llama):
    manager = llama.init_continuous_batching(greedy(), settings())
    manager.start()
    try:
        with pytest.raises(ValueError, match="while continuous batching runs"):
            attach(llama, positions="last")
        assert type(llama) is LlamaForCausalLM
    finally:
        manager.stop(block=True, timeout=30)
    attach(llama, positions="last")


def test_a_manager_made_before_the_adapter_came_answers_nothing(llama):
    manager = llama.init_continuous_batching(greedy(), settings())
    attach(llama, positions="last")
    manager.start()
    try:
        name = manager.add_request(prompts(9)[0], max_new_tokens=LENGTH)
        result = manager.get_result(name, timeout=60)
        assert result is None or "began before" in str(result.error)
        assert result is None or result.generated_tokens == []
    finally:
        manager.stop(block=True, timeout=30)


def test_beside_a_lora(llama):
    llama.add_adapter(LoraConfig(target_modules=["q_proj"], init_lora_weights=False), "lora")
    attach(llama, "forget", positions="last", steer_decode=False, strength=6.0)
    llama.set_adapter(["lora", "forget"])
    asked = prompts(3, 40, 17, 26)
    assert batched(llama, asked, max_batch_tokens=9) == [generated(llama, prompt) for prompt in asked]


def test_through_a_peft_model(llama):
    peft_model = get_peft_model(llama, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1, positions="last"))
    attach(peft_model, "forget", positions="last", steer_decode=False, strength=6.0)
    peft_model.set_adapter("forget")
    asked = prompts(3, 40, 17, 26)
    assert batched(peft_model, asked, max_batch_tokens=9) == [generated(peft_model, prompt) for prompt in asked]


def test_a_model_that_has_served_can_be_copied_pickled_and_left(llama):
    attach(llama, positions="last", steer_decode=False)
    asked = prompts(12, 5)
    before = batched(llama, asked)
    assert batched(copy.deepcopy(llama), asked) == before
    assert batched(pickle.loads(pickle.dumps(llama)), asked) == before
    llama.delete_adapter("default")
    assert type(llama) is LlamaForCausalLM
    assert batched(llama, asked) == [generated(llama, prompt) for prompt in asked]
