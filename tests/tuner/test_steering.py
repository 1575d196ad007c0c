"""What happens in a forward pass: one decision a sequence, the same however the sequence is computed."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import pytest
import torch
from packaging.version import Version
from transformers import DynamicCache, LlamaModel, StaticCache

from hf_eraser import prompt_lengths
from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


@torch.no_grad()
def gates_of(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    return model(**inputs).past_key_values.steering_decision.gates["default", None]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("readout", "text_readout"),
    [("last", None), ("prompt", None), ("image", None), ("text", None), ("joined", None), ("image", "joined")],
)
def test_each_row_of_a_mixed_batch_gets_the_gate_that_it_gets_alone(untaught, side, readout, text_readout):
    model, processor = untaught
    attach(model, readout=readout, text_readout=text_readout, low=-60.0, high=60.0)
    together = gates_of(model, batch_of(model, processor, PROMPTS, side))
    alone = torch.cat([gates_of(model, batch_of(model, processor, [prompt])) for prompt in PROMPTS])
    assert ((alone > 0) & (alone < 1)).any()
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_gate_of_zero_leaves_logits_bit_identical(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    base = logits(model, inputs)
    attach(model, low=1e6, high=2e6)
    assert torch.equal(logits(model, inputs), base)


def test_one_steered_row_does_not_change_the_others(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    base = logits(model, inputs)
    attach(model, low=-1e3, high=1e3)
    scores = gates_of(model, inputs).sort(dim=0).values[:, 0] * 2e3 - 1e3
    model.delete_adapter("default")
    middle = float(scores[1:3].mean())
    attach(model, low=middle, high=middle + 1e-3)
    steered = (gates_of(model, inputs) > 0)[:, 0]
    assert 0 < steered.sum() < len(PROMPTS)
    changed = (logits(model, inputs) != base).flatten(1).any(dim=1)
    assert torch.equal(changed, steered)


def test_text_only_prompts_use_their_own_gate(untaught):
    model, processor = untaught
    attach(model, low=-1e3, high=-1e2)
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "steering_gate_bounds") and "default" in module.steering_gate_bounds:
                module.steering_gate_bounds["default"][0] = torch.inf  # prompts with an image are never steered
    gates = gates_of(model, batch_of(model, processor, PROMPTS))
    with_image = torch.tensor(["prompt" not in p or "image" in p for p in PROMPTS])
    assert (gates[with_image] == 0).all()
    assert (gates[~with_image] == 1).all()


@pytest.mark.parametrize("positions", ["last", "prompt"])
@pytest.mark.parametrize("steer_decode", [True, False])
@pytest.mark.parametrize("gate_layer", [1, None])
def test_generation_is_the_same_with_and_without_cache(untaught, positions, steer_decode, gate_layer):
    model, processor = untaught
    attach(model, gate_layer=gate_layer, positions=positions, steer_decode=steer_decode)
    inputs = batch_of(model, processor, PROMPTS)
    # A model with random weights would else answer with the picture's placeholder.
    options = {"suppress_tokens": [model.config.image_token_id], "max_new_tokens": 6, "min_new_tokens": 6}
    assert torch.equal(
        model.generate(**inputs, use_cache=True, **options), model.generate(**inputs, use_cache=False, **options)
    )


def test_steer_decode_makes_a_difference_to_generated_tokens_only(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    outputs = []
    for steer_decode in (True, False):
        steered = copy.deepcopy(model)
        attach(steered, steer_decode=steer_decode, low=-1e3, high=-1e2)
        options = {"max_new_tokens": 2, "min_new_tokens": 2, "output_logits": True, "return_dict_in_generate": True}
        outputs.append(steered.generate(**inputs, **options).logits)
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert not torch.allclose(outputs[0][1], outputs[1][1])


def test_beam_search_keeps_each_row_s_decision(untaught):
    model, processor = untaught
    attach(model)
    options = {"max_new_tokens": 5, "num_beams": 3, "do_sample": False}
    inputs = batch_of(model, processor, PROMPTS)
    together = model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
    for row, prompt in enumerate(PROMPTS):
        inputs = batch_of(model, processor, [prompt])
        alone = model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :]
        assert together[row].tolist()[: len(alone)] == alone.tolist()


def test_static_cache_gives_the_tokens_of_a_dynamic_one(untaught):
    model, processor = untaught
    attach(model)
    inputs = batch_of(model, processor, PROMPTS)
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "disable_compile": True}
    static = model.generate(**inputs, cache_implementation="static", **options)
    assert torch.equal(static, model.generate(**inputs, **options))


def test_reset_static_cache_forgets_the_decision(llava):
    model, processor = llava
    attach(model)
    cache = StaticCache(config=model.config.get_text_config(), max_cache_len=64)
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "disable_compile": True}
    for prompt in PROMPTS[:4]:
        inputs = batch_of(model, processor, [prompt])
        expected = model.generate(**inputs, **options)
        cache.reset()
        assert torch.equal(model.generate(**inputs, past_key_values=cache, **options), expected)


def test_prompt_lookup_decoding_gives_the_greedy_tokens(llava):
    model, processor = llava
    attach(model, low=-1e3, high=-1e2)
    inputs = batch_of(model, processor, [PROMPTS[1]])
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}
    assert torch.equal(
        model.generate(**inputs, prompt_lookup_num_tokens=2, **options), model.generate(**inputs, **options)
    )


def test_several_samples_of_a_prompt_share_its_decision(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    attach(model)
    torch.manual_seed(0)
    output = model.generate(
        **inputs, max_new_tokens=3, do_sample=True, num_return_sequences=2, return_dict_in_generate=True
    )
    gates = output.past_key_values.steering_decision.gates["default", None]
    torch.testing.assert_close(gates, gates_of(model, inputs).repeat_interleave(2, dim=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_answer_under_teacher_forcing_does_not_decide(untaught, side):
    model, processor = untaught
    attach(model, low=-3.0, high=3.0)
    inputs = batch_of(model, processor, PROMPTS[1:2])
    prompt_logits = logits(model, inputs)
    n = inputs["input_ids"].shape[1]
    results = []
    for answer in ([5, 6, 7], [9, 5, 30]):
        ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
        labels = ids.clone()
        labels[:, :n] = -100
        extra = {"mm_token_type_ids": torch.zeros_like(ids)} if "mm_token_type_ids" in inputs else {}
        full = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels, **extra}
        if side == "right":
            full = {k: torch.nn.functional.pad(v, (0, 2), value=-100 if k == "labels" else 0) for k, v in full.items()}
        results.append(logits(model, full)[:, :n])
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0], prompt_logits, rtol=1e-4, atol=1e-4)


def test_teacher_forcing_gives_the_logits_of_generation(untaught):
    model, processor = untaught
    attach(model, low=-1e3, high=-1e2)
    inputs = batch_of(model, processor, PROMPTS[1:2])
    n = inputs["input_ids"].shape[1]
    output = model.generate(
        **inputs, max_new_tokens=4, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    ids = output.sequences
    labels = ids.clone()
    labels[:, :n] = -100
    extra = {"mm_token_type_ids": torch.zeros_like(ids)} if "mm_token_type_ids" in inputs else {}
    forced = logits(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels, **extra})
    generated = torch.stack(output.logits, dim=1)
    torch.testing.assert_close(forced[:, n - 1 : -1], generated, rtol=1e-3, atol=1e-3)


def test_prefill_in_pieces_decides_as_a_whole_one_does(llava):
    model, processor = llava
    attach(model)
    for prompt in PROMPTS[1:4:2]:
        inputs = batch_of(model, processor, [prompt])
        whole, pieces = (
            model.generate(
                **inputs, max_new_tokens=3, do_sample=False, return_dict_in_generate=True, **options
            ).past_key_values.steering_decision.gates["default", None]
            for options in ({}, {"prefill_chunk_size": 4})
        )
        torch.testing.assert_close(pieces, whole, rtol=1e-4, atol=1e-4)


def test_chat_that_goes_on_is_read_again_and_keeps_the_larger_gate(llava):
    model, processor = llava
    attach(model, low=-1e3, high=-1e2, layers_to_transform=[2])
    first = batch_of(model, processor, [PROMPTS[3]])
    cache = DynamicCache(config=model.config)
    options = {"max_new_tokens": 2, "do_sample": False, "return_dict_in_generate": True}
    answer = model.generate(**first, past_key_values=cache, **options).sequences
    opened = cache.steering_decision.gates["default", None].clone()
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "steering_gate_bounds") and "default" in module.steering_gate_bounds:
                module.steering_gate_bounds["default"][:] = torch.tensor([1e6, 2e6])  # nothing opens it any more
    longer = torch.cat([answer, torch.randint(20, 90, (1, 7))], dim=1)
    model.generate(input_ids=longer, attention_mask=torch.ones_like(longer), past_key_values=cache, **options)
    decision = cache.steering_decision
    assert torch.equal(decision.gates["default", None], opened)
    # All that was given as a prompt; of the answer in between, the token that was generated with the cache is not.
    assert decision.sums[1].n_prompt.item() == longer.shape[1] - 1


def test_embeddings_in_place_of_ids_are_read_the_same(llava):
    model, processor = llava
    attach(model, low=-3.0, high=3.0)
    inputs = batch_of(model, processor, PROMPTS)
    expected = gates_of(model, inputs)
    ids = inputs.pop("input_ids")
    inputs["inputs_embeds"] = model.get_input_embeddings()(ids)
    torch.testing.assert_close(gates_of(model, inputs), expected)


def test_threads_that_share_a_model_do_not_share_gates(untaught):
    model, processor = untaught
    attach(model)
    batches = [batch_of(model, processor, [prompt]) for prompt in PROMPTS]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    expected = [model.generate(**inputs, **options) for inputs in batches]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(3):
            if not torch.equal(model.generate(**batches[i], **options), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(
    Version(torch.__version__) < Version("2.14"), reason="PyTorch before 2.14 cannot read a ContextVar in one graph"
)
def test_compiled_forward_gives_the_logits_of_the_plain_one(llava):
    model, processor = llava
    attach(model)
    inputs = batch_of(model, processor, PROMPTS[1:4:2])
    expected = logits(model, inputs)
    model.forward = torch.compile(model.forward, fullgraph=True, backend="eager")
    torch.testing.assert_close(logits(model, inputs), expected)


def test_gradient_checkpointing_gives_the_gradient_of_the_plain_pass(llava):
    model, processor = llava
    attach(model, low=-3.0, high=3.0)
    inputs = batch_of(model, processor, PROMPTS)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", None)  # not in transformers 5.20
            (enable or model.gradient_checkpointing_enable)()
            model.train()
        embeds = model.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_()
        arguments = {k: v for k, v in inputs.items() if k != "input_ids"}
        model(**arguments, inputs_embeds=embeds, use_cache=False).logits.square().mean().backward()
        gradients.append(embeds.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_layer_called_without_its_model_says_so(llava):
    model, processor = llava
    attach(model)
    with pytest.raises(RuntimeError, match="disable_adapter"):
        model.model(**batch_of(model, processor, PROMPTS[:1]))


def test_hidden_states_are_those_after_steering(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    with torch.no_grad():
        before = model(**inputs, output_hidden_states=True).hidden_states
        attach(model, low=-1e3, high=-1e2)
        after = model(**inputs, output_hidden_states=True).hidden_states
    same = [torch.equal(a, b) for a, b in zip(before, after)]
    # Entry i + 1 is the output of layer i; the first steered layer is 2.
    assert same == [True, True, True, False, False, False, False]


class KeepsArgumentsToItself(LlamaModel):
    """A decoder that does not hand unknown keyword arguments down to its layers."""

    def forward(self, *args, steering_call=None, **kwargs):
        return super().forward(*args, **kwargs)


def test_decoder_that_hands_no_arguments_down_is_steered_as_well(llava):
    model, processor = llava
    attach(model)
    inputs = batch_of(model, processor, PROMPTS)
    expected = logits(model, inputs)
    model.model.language_model.__class__ = KeepsArgumentsToItself
    assert torch.equal(logits(model, inputs), expected)


def test_a_cache_that_the_gate_has_not_read_is_refused(llava):
    model, _ = llava
    text = {"input_ids": torch.arange(20, 32)[None]}
    with torch.no_grad():
        before = model(input_ids=text["input_ids"][:, :5], use_cache=True).past_key_values
        attach(model, "early", gate_layer=1, low=60.0, high=70.0)
        whole = model.generate(**text, max_new_tokens=3)
        with pytest.raises(ValueError, match=r"'early' has not read .* \(0 of 5 tokens\)"):
            model.generate(**text, past_key_values=copy.deepcopy(before), max_new_tokens=3)
        with model.disable_adapter():
            model.generate(**text, past_key_values=before, max_new_tokens=3)  # the base model reads what it likes
        active = model(input_ids=text["input_ids"][:, :5], use_cache=True).past_key_values
        assert torch.equal(model.generate(**text, past_key_values=copy.deepcopy(active), max_new_tokens=3), whole)
        off = copy.deepcopy(active)
        with model.disable_adapter():
            model(input_ids=text["input_ids"][:, 5:8], past_key_values=off)
        with pytest.raises(ValueError, match=r"\(5 of 8 tokens\)"):
            model.generate(**text, past_key_values=off, max_new_tokens=3)
        # Another adapter decides by what has been read on its layer, and by nothing less.
        attach(model, "same layer", gate_layer=1, positions="last", low=-60.0, high=-50.0)
        model.set_adapter("same layer")
        alone = model.generate(**text, max_new_tokens=3)
        assert torch.equal(model.generate(**text, past_key_values=copy.deepcopy(active), max_new_tokens=3), alone)
        attach(model, "other layer", gate_layer=2)
        model.set_adapter("other layer")
        with pytest.raises(ValueError, match=r"'other layer' has not read .* \(0 of 5 tokens\)"):
            model.generate(**text, past_key_values=copy.deepcopy(active), max_new_tokens=3)


@pytest.mark.parametrize(
    "rows", [[1, 3], [3, 2, 1, 0], [2], [0, 0, 2, 2]], ids=["some", "other order", "one", "some twice"]
)
@pytest.mark.parametrize(
    "kept",
    [lambda cache: cache, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))],
    ids=["itself", "copied", "pickled"],
)
def test_a_decision_goes_where_the_rows_of_its_cache_go(llava, rows, kept):
    model, _ = llava
    attach(model, readout="joined", steer_decode=True)
    ids = torch.randint(20, 900, (4, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cache = model(input_ids=ids, use_cache=True).past_key_values
        gates = cache.steering_decision.gates["default", None].clone()
        assert 0 < gates.count_nonzero() < len(gates)  # some are steered, others not
        cache = kept(cache)
        if len(rows) < len(ids):
            cache.batch_select_indices(torch.tensor(rows))
        else:
            cache.reorder_cache(torch.tensor(rows))
        assert torch.equal(cache.steering_decision.gates["default", None], gates[rows])
        further = torch.arange(30, 30 + len(rows))[:, None]
        together = model(input_ids=further, past_key_values=cache).logits
        for row, number in enumerate(rows):
            alone = model(input_ids=ids[number : number + 1], use_cache=True).past_key_values
            logits = model(input_ids=further[row : row + 1], past_key_values=alone).logits
            torch.testing.assert_close(together[row : row + 1], logits, rtol=1e-4, atol=1e-4)


def test_a_cache_is_let_go_as_soon_as_nobody_uses_it(llava):
    model, _ = llava
    attach(model)
    gc.disable()
    try:
        with torch.no_grad():
            output = model(input_ids=torch.arange(20, 29)[None], use_cache=True)
        cache = weakref.ref(output.past_key_values)
        assert type(cache()).__name__ == "DynamicCache"
        del output
        assert cache() is None
    finally:
        gc.enable()


def test_a_cache_whose_rows_were_taken_out_behind_its_back_is_refused(llava):
    model, _ = llava
    attach(model)
    with torch.no_grad():
        cache = model(input_ids=torch.arange(20, 47).reshape(3, 9), use_cache=True).past_key_values
        for layer in cache.layers:
            layer.batch_select_indices(torch.tensor([0, 2]))
        with pytest.raises(ValueError, match="decided for 3 sequences, and this call has 2"):
            model(input_ids=torch.tensor([[30], [31]]), past_key_values=cache)


def test_a_cache_that_was_cut_back_behind_what_the_gate_has_read_is_refused(llava):
    model, _ = llava
    attach(model)
    ids = torch.arange(20, 32)[None]
    with torch.no_grad():
        cache = model(input_ids=ids, use_cache=True).past_key_values
        cache.crop(-4)
        with pytest.raises(ValueError, match=r"has read 12 tokens, of which .* cut back to 8"):
            model(input_ids=ids[:, :2], past_key_values=cache)
        # Of an answer, tokens may be taken back: by hand, where it is said that they are one, and by `generate`.
        with prompt_lengths(12):
            cache = model(input_ids=ids, use_cache=True).past_key_values
            first = model(input_ids=ids[:, :3], past_key_values=cache).logits
            cache.crop(-3)
            assert torch.equal(model(input_ids=ids[:, :3], past_key_values=cache).logits, first)
        output = model.generate(input_ids=ids, max_new_tokens=4, return_dict_in_generate=True)
        output.past_key_values.crop(-3)
        model.generate(input_ids=torch.cat([ids, ids[:, :2]], dim=1), past_key_values=output.past_key_values)


@pytest.mark.parametrize("pieces", [(5, 7), (5, 4, 3), (1, 11), (11, 1), (4, 4, 3, 1)], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_prompt_in_pieces_without_generate_is_decided_as_a_whole_one(llava, pieces, side):
    model, _ = llava
    attach(model, readout="joined", positions="last", low=-0.5, high=0.5)
    ids = torch.randint(20, 900, (6, 12), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[0, :3] = mask[1, :1] = 0
    if side == "right":
        mask = mask.flip(1)
    lengths = mask.sum(dim=1)
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values.steering_decision
        gates, cache, start = whole.gates["default", None], None, 0
        for length in pieces:
            end = start + length
            # A piece of one token could have been generated, so it is said that it was not.
            with prompt_lengths(lengths if 1 in pieces else None):
                cache = model(
                    input_ids=ids[:, start:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True
                ).past_key_values
            start = end
        assert 0 < gates.count_nonzero() < len(gates)
        assert bool((cache.steering_decision.gates["default", None] >= gates - 1e-5).all())
        torch.testing.assert_close(whole.sums[1].prompt, cache.steering_decision.sums[1].prompt)
        # What is generated behind it does not decide.
        before = cache.steering_decision.gates["default", None].clone()
        with prompt_lengths(lengths if 1 in pieces else None):
            model(
                input_ids=ids[:, :1],
                attention_mask=torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1),
                past_key_values=cache,
            )
        assert torch.equal(cache.steering_decision.gates["default", None], before)
