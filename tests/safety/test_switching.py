"""Adapters are switched, loaded and deleted while other threads call the model: each call sees one set of them."""

from __future__ import annotations

import contextvars
import copy
import itertools
import os
import pickle
import threading
import time

import pytest
import torch
from peft import PeftModel, PeftModelForCausalLM, get_peft_model, set_peft_model_state_dict
from transformers import ContinuousBatchingConfig

from benchmarks.tiny import build_tiny
from hf_eraser import SteeringAdapterConfig
from hf_eraser.tuner.steered_model import steered_by
from tests.helpers.adapters import random_tensors


LENGTHS = (9, 5, 12)
GREEDY = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
# For how long the long form runs: HF_ERASER_SWITCH_SECONDS=60 pytest tests/safety/test_switching.py
SECONDS = float(os.environ.get("HF_ERASER_SWITCH_SECONDS", 0))


def steering(**settings):
    return SteeringAdapterConfig(
        **{"layers_to_transform": [1, 2, 3], "gate_layer": 0, "positions": "last", "strength": 4.0, **settings}
    )


@pytest.fixture
def prompts():
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(10, 200, (1, length), generator=generator) for length in LENGTHS]


@pytest.fixture
def folders(tmp_path):
    """Of adapters "a" and "b", whose gates are open for every prompt."""
    for seed, name in enumerate("ab"):
        model = build_tiny("llama", "causal-lm")
        model.add_adapter(steering(), name)
        tensors = random_tensors(model, model.peft_config[name], seed=seed, low=-2.0, high=-1.0)
        set_peft_model_state_dict(model, tensors, adapter_name=name)
        model.save_pretrained(tmp_path / name)
    return {name: tmp_path / name for name in "ab"}


def loaded(folders, *names):
    model = build_tiny("llama", "causal-lm")
    for name in names:
        model.load_adapter(folders[name], name, keep_active=True)
    return model


def answers(model, ids):
    """The logits of a forward, and the tokens of a `generate`: as bytes, to be looked up."""
    with torch.no_grad():
        return [
            model(input_ids=ids).logits.numpy().tobytes(),
            model.generate(input_ids=ids, **GREEDY).numpy().tobytes(),
        ]


def of_each_state(folders, prompts, *states):
    """What a model gives with each of these sets of adapters alone in it."""
    return [[answers(loaded(folders, *names), ids) for ids in prompts] for names in states]


def while_switching(model, prompts, allowed, switch, *, callers=7, turns=12):
    """
    Call the model from several threads while another one switches.

    Returns:
        What they said that no allowed state gives, their errors, and how often each state was seen.
    """
    wrong, errors, seen, done = [], [], [0] * len(allowed), threading.Event()

    def call(first):
        try:
            for turn in itertools.count(first):
                at = turn % len(prompts)
                for which, said in enumerate(answers(model, prompts[at])):
                    states = [n for n, state in enumerate(allowed) if state[at][which] == said]
                    if states:
                        seen[states[0]] += 1
                    else:
                        wrong.append((at, which))
                if done.is_set():
                    return
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(callers)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + SECONDS
    try:
        for turn in itertools.count():
            switch(turn)
            if turn >= turns and time.monotonic() >= end:
                break
    except Exception as error:
        errors.append(error)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    return wrong, errors, seen


@pytest.mark.parametrize("kind", ["plain", "peft"])
def test_every_answer_is_that_of_one_state_while_adapters_are_loaded_switched_and_deleted(folders, prompts, kind):
    allowed = of_each_state(folders, prompts, ("a",), ("a", "b"), ("b",), ())
    model = (
        loaded(folders, "a")
        if kind == "plain"
        else PeftModel.from_pretrained(build_tiny("llama", "causal-lm"), folders["a"], "a")
    )
    tuner = model if kind == "plain" else model.base_model

    def switch(turn):
        if kind == "plain":
            model.load_adapter(folders["b"], "b", keep_active=True)
        else:
            model.load_adapter(folders["b"], "b")
            tuner.set_adapter(["a", "b"])
        tuner.set_adapter("b")
        tuner.set_adapter(["a", "b"])
        model.delete_adapter("b")

    wrong, errors, seen = while_switching(model, prompts, allowed, switch)
    assert errors == []
    assert wrong == []
    assert seen[3] == 0  # at no moment was there none
    assert seen[0] > 0


def test_adapter_that_is_loaded_beside_others_never_switches_them_off(folders, prompts):
    allowed = of_each_state(folders, prompts, ("a",), ("a", "b"))
    model = loaded(folders, "a")

    def switch(turn):
        model.load_adapter(folders["b"], "b", keep_active=True)
        assert model.active_adapters() == ["a", "b"]
        model.delete_adapter("b")

    wrong, errors, _ = while_switching(model, prompts, allowed, switch)
    assert errors == []
    assert wrong == []


@pytest.mark.parametrize("asked", ["for causal lm", "plain"])
def test_active_adapter_of_a_peft_model_may_be_deleted_while_others_call(folders, prompts, asked):
    allowed = of_each_state(folders, prompts, ("a",), ("b",))
    base = build_tiny("llama", "causal-lm")
    if asked == "plain":
        model = PeftModel.from_pretrained(base, folders["a"], "a")
    else:
        model = PeftModelForCausalLM.from_pretrained(base, folders["a"], "a")

    def switch(turn):
        other, active = ("b", "a") if turn % 2 == 0 else ("a", "b")
        model.load_adapter(folders[other], other)
        model.delete_adapter(active)
        assert model.active_adapters == [other]

    wrong, errors, _ = while_switching(model, prompts, allowed, switch)
    assert errors == []
    assert wrong == []


@pytest.mark.parametrize("kind", ["plain", "peft"])
def test_what_one_thread_switches_off_for_itself_stays_on_for_the_others(folders, prompts, kind):
    steered, plain = of_each_state(folders, prompts, ("a",), ())
    model = loaded(folders, "a")
    if kind == "peft":
        model = PeftModel.from_pretrained(build_tiny("llama", "causal-lm"), folders["a"], "a")
    own = []

    def switch(turn):
        with model.disable_adapter():
            own.append(answers(model, prompts[turn % len(prompts)]) == plain[turn % len(prompts)])
        own.append(answers(model, prompts[turn % len(prompts)]) == steered[turn % len(prompts)])

    wrong, errors, _ = while_switching(model, prompts, [steered], switch, callers=3)
    assert errors == []
    assert wrong == []
    assert all(own)


def test_adapters_of_one_context_act_in_it_alone(folders, prompts):
    of_a, of_b, plain = of_each_state(folders, prompts, ("a",), ("b",), ())
    model = loaded(folders, "a", "b")
    model.set_adapter("a")
    said = {}

    def ask(name):
        said[name] = answers(model, prompts[0])

    with steered_by(model, ["b"]):
        ask("inside")
        copied = contextvars.copy_context()
        for thread in (
            threading.Thread(target=ask, args=("thread",)),
            threading.Thread(target=copied.run, args=(ask, "copied context")),
        ):
            thread.start()
            thread.join()
        with model.disable_adapter():
            ask("off")
        ask("inside again")
    ask("outside")
    assert said["inside"] == said["inside again"] == said["copied context"] == of_b[0]
    assert said["thread"] == said["outside"] == of_a[0]
    assert said["off"] == plain[0]


def test_switching_off_as_a_statement_holds_until_it_is_taken_back(folders, prompts):
    steered, plain = of_each_state(folders, prompts, ("a",), ())
    model = loaded(folders, "a")
    model.disable_adapter()
    assert answers(model, prompts[0]) == plain[0]
    model.enable_adapters()
    assert answers(model, prompts[0]) == steered[0]
    peft_model = PeftModel.from_pretrained(build_tiny("llama", "causal-lm"), folders["a"], "a")
    peft_model.disable_adapter()
    assert answers(peft_model, prompts[0]) == plain[0]
    peft_model.base_model.enable_adapter_layers()
    assert answers(peft_model, prompts[0]) == steered[0]


def test_rows_that_all_go_without_an_adapter_have_none(folders, prompts):
    _, plain = of_each_state(folders, prompts, ("a",), ())
    model = loaded(folders, "a")
    with torch.no_grad():
        said = model(input_ids=prompts[0], adapter_names=["__base__"]).logits.numpy().tobytes()
    assert said == plain[0][0]


def test_switching_off_for_the_whole_model_reaches_every_thread(folders, prompts):
    _, plain = of_each_state(folders, prompts, ("a",), ())
    model = loaded(folders, "a")
    model.disable_adapters()
    said = []
    thread = threading.Thread(target=lambda: said.append(answers(model, prompts[0])))
    thread.start()
    thread.join()
    assert said == [plain[0]]


@pytest.mark.parametrize("how", ["off", "other"])
def test_requests_that_are_batched_in_another_thread_are_steered_as_where_they_were_begun(folders, prompts, how):
    of_b, plain = of_each_state(folders, prompts, ("b",), ())
    model = loaded(folders, "a", "b")
    model.set_adapter("a")
    options = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=64, block_size=16)
    config = copy.deepcopy(model.generation_config)
    config.max_new_tokens, config.do_sample, config.eos_token_id, config.pad_token_id = 4, False, -1, 0
    with model.disable_adapter() if how == "off" else steered_by(model, ["b"]):
        outputs = model.generate_batch(
            [ids[0].tolist() for ids in prompts], generation_config=config, continuous_batching_config=options
        )
        expected = [model.generate(input_ids=ids, **GREEDY)[0, ids.shape[1] :].tolist() for ids in prompts]
    tokens = [list(request.generated_tokens) for request in sorted(outputs.values(), key=lambda r: r.request_id)]
    assert sorted(tokens) == sorted(expected)
    states = of_b if how == "other" else plain
    for ids, tokens_of, state in zip(prompts, expected, states):
        assert torch.tensor([ids[0].tolist() + tokens_of]).numpy().tobytes() == state[1]


def test_switching_inside_of_a_call_is_refused_only_where_others_run(folders, prompts):
    model = loaded(folders, "a", "b")
    ids, inside, waiting = prompts[0], threading.Event(), threading.Event()

    class Streamer:
        def put(self, value):
            model.set_adapter("b")

        def end(self):
            pass

    model.generate(input_ids=ids, streamer=Streamer(), **GREEDY)
    assert model.active_adapters() == ["b"]

    class Slow:
        def put(self, value):
            inside.set()
            waiting.wait(timeout=60)

        def end(self):
            pass

    other = threading.Thread(target=lambda: model.generate(input_ids=ids, streamer=Slow(), **GREEDY))
    other.start()
    inside.wait(timeout=60)
    try:
        with pytest.raises(RuntimeError, match="inside of a call"):
            model.generate(input_ids=ids, streamer=Streamer(), **GREEDY)
    finally:
        waiting.set()
        other.join()


def test_copied_and_pickled_models_are_switched_by_themselves(folders, prompts):
    steered, plain = of_each_state(folders, prompts, ("a",), ())
    model = loaded(folders, "a")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert answers(other, prompts[0]) == steered[0]
        with model.disable_adapter():
            assert answers(other, prompts[0]) == steered[0]
        with other.disable_adapter():
            assert answers(other, prompts[0]) == plain[0]
            assert answers(model, prompts[0]) == steered[0]


def test_last_adapter_may_go_while_others_call(folders, prompts):
    allowed = of_each_state(folders, prompts, ("a",), ())
    model = loaded(folders, "a")

    def switch(turn):
        if turn == 6:
            model.delete_adapter("a")

    wrong, errors, _ = while_switching(model, prompts, allowed, switch)
    assert errors == []
    assert wrong == []
    assert get_peft_model(model, steering()) is not None
