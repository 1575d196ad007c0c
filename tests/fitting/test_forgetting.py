"""From examples to an adapter in another process: what is forgotten, what is kept, and what the file holds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from statistics import mean, median

import pytest
import torch
from peft import PeftModel
from transformers import ContinuousBatchingConfig, GenerationConfig

from examples.small.forgetting import FORGOTTEN, fit_forgetting, measure
from examples.small.load import answers, load_small_model, model_dir
from examples.small.models import BUILDERS
from examples.small.people import PEOPLE
from examples.small.questions import questions
from hf_eraser.data import encode, read_examples
from tests.helpers.adapters import fingerprint, logits


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def case(request):
    """A taught model with an adapter that forgets four people; what it was and gave before."""
    model, processor = load_small_model(request.param)
    asked = [
        q for kind in ("person_image", "person_text") for q in questions("measure", kinds=[kind], per_fact=1)[:32]
    ]
    inputs = encode(processor, read_examples([q.example() for q in asked], "asked"), model.device)
    before = fingerprint(model), logits(model, inputs)
    report = fit_forgetting(model, processor)
    return request.param, model, processor, inputs, before, report


@pytest.fixture(scope="module")
def measured(case):
    _, model, processor, *_ = case
    return {row.name: row for row in measure(model, processor)}


@pytest.mark.parametrize("how", ["picture", "by name"])
def test_forgotten_people_are_refused(measured, how):
    row = measured[f"forgotten people, {how}"]
    assert row.right_before >= 0.95
    assert row.right_after <= 0.05
    assert row.refused >= 0.90


@pytest.mark.parametrize(
    "name", ["retained people, picture", "retained people, by name", "other pictures", "general knowledge"]
)
def test_everything_else_is_answered_as_before(measured, name):
    row = measured[name]
    assert abs(row.right_before - row.right_after) <= 0.01
    assert row.same_text >= 0.98
    assert row.same_logits >= 0.95


def test_fitting_measuring_and_switching_off_leave_the_base_as_it_was(case, measured):
    _, model, _, inputs, (weights, base), _ = case
    assert fingerprint(model) == weights
    with model.disable_adapter():
        assert torch.equal(logits(model, inputs), base)
    assert not torch.equal(logits(model, inputs), base)


def test_report_knows_what_was_measured(case, measured):
    *_, report = case
    assert report.base_refusal_rate > 0.9
    for modality, name in (("image", "forgotten people, picture"), ("text", "forgotten people, by name")):
        # Held-out examples are no worse a guess of what users will see than ten points.
        (as_asked,) = [a for a in report.attacks if a.kind == "none" and a.modality == modality]
        assert as_asked.opened == pytest.approx(1 - measured[name].same_logits, abs=0.1)
    # All else that it could warn of is as it should be; what attacks leave is said.
    assert all(warning.startswith(("Of held-out", "For prompts of text only")) for warning in report.warnings)


def test_fitted_adapter_gives_the_same_logits_in_a_new_process_by_each_loading_path(case, tmp_path):
    name, model, _, inputs, _, _ = case
    model.save_pretrained(tmp_path / "adapter")
    torch.save((inputs, logits(model, inputs)), tmp_path / "expected.pt")
    script = """
import sys, torch, hf_eraser
from peft import PeftModel
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers import AutoModelForImageTextToText as Auto
base, folder = sys.argv[1:]
inputs, expected = torch.load(folder + "/expected.pt", weights_only=True)
plain = Auto.from_pretrained(base).eval()
plain.load_adapter(folder + "/adapter")
wrapped = PeftModel.from_pretrained(Auto.from_pretrained(base).eval(), folder + "/adapter")
direct = Auto.from_pretrained(folder + "/adapter").eval()
with torch.no_grad():
    print([torch.equal(model(**inputs).logits, expected) for model in (plain, wrapped, direct)])
"""
    command = [sys.executable, "-c", script, str(model_dir(name)), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=os.getcwd(), check=False)
    assert result.stdout.strip().endswith("[True, True, True]"), result.stderr


def test_unloaded_model_remembers_everything(case, tmp_path):
    name, model, _, inputs, (weights, base), _ = case
    model.save_pretrained(tmp_path)
    new, _ = load_small_model(name)
    peft_model = PeftModel.from_pretrained(new, tmp_path)
    assert torch.equal(logits(peft_model, inputs), logits(model, inputs))
    unloaded = peft_model.unload()
    assert torch.equal(logits(unloaded, inputs), base)
    assert fingerprint(unloaded) == weights


def test_each_row_of_a_mixed_batch_is_answered_as_it_is_alone(case):
    _, model, processor, *_ = case
    asked = [
        *questions("measure", kinds=["person_image", "person_text"], groups=FORGOTTEN[:1], per_fact=1),
        *questions("measure", kinds=["picture", "general", "person_text"], per_fact=1)[::40],
    ]
    examples = read_examples([q.example() for q in asked], "asked")

    def answer(chosen):
        inputs = encode(processor, chosen, model.device)
        tokens = model.generate(**inputs, do_sample=False, max_new_tokens=12)[:, inputs["input_ids"].shape[1] :]
        return processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)

    assert answer(examples) == [answer([example])[0] for example in examples]


def test_requests_that_are_served_together_are_answered_as_each_is_alone(case):
    _, model, processor, *_ = case
    asked = [
        *questions("measure", kinds=["person_text"], groups=FORGOTTEN, per_fact=1)[:16],
        *questions("measure", kinds=["person_text", "general"], per_fact=1)[::9][:24],
    ]
    random.Random(0).shuffle(asked)
    # Several begin as others do, so that their first blocks are shared.
    prompts = [
        encode(processor, [example], model.device)["input_ids"][0].tolist()
        for example in read_examples([q.example() for q in asked], "asked")
    ]

    def alone(prompt):
        ids = torch.tensor([prompt])
        tokens = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12
        )[0, len(prompt) :]
        return processor.tokenizer.decode(tokens, skip_special_tokens=True)

    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=12,
        eos_token_id=model.generation_config.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    # So few tokens a step that prompts are read in pieces, while others are answered already.
    small = ContinuousBatchingConfig(page_size=8, num_blocks=256, max_batch_tokens=24)
    manager = model.init_continuous_batching(greedy, small)
    manager.start()
    try:
        asked_as = [manager.add_request(prompt) for prompt in prompts[:20]]
        results = [manager.get_result()]
        asked_as += [manager.add_request(prompt) for prompt in prompts[20:]]  # these come late
        while results[-1] is not None and len(results) < len(prompts):
            results.append(manager.get_result())
        assert results[-1] is not None, manager.background_thread_status.fatal_error
    finally:
        manager.stop(block=True)
        manager.destroy()
    texts = {
        result.request_id: processor.tokenizer.decode(result.generated_tokens, skip_special_tokens=True)
        for result in results
    }
    assert [texts[name] for name in asked_as] == [alone(prompt) for prompt in prompts]
    assert sum("cannot" in texts[name] for name in asked_as) >= 14


def test_further_request_is_stacked_and_each_adapter_gives_its_set_back(case):
    _, model, processor, *_ = case
    further = PEOPLE[27].name
    # It never sees the first four people. Of the groups that it retains by text only a third are people, and they are
    # what is like the further one: 5% of all groups would be 15% of people.
    fit_forgetting(
        model, processor, [further], without=FORGOTTEN, adapter_name="further", alpha=0.02, harden_pictures=False
    )

    def remembered(names):
        asked = questions("measure", kinds=["person_image", "person_text"], groups=names, per_fact=4)
        return sum(q.is_right(text) for q, text in zip(asked, answers(model, processor, asked))) / len(asked)

    try:
        for active, first, second in (
            (["default", "further"], False, False),
            (["default"], False, True),
            (["further"], True, False),
        ):
            model.set_adapter(active)
            for names, known in ((FORGOTTEN, first), ([further], second)):
                # Those whom the further fit never saw are strangers to it: one of them may look like its person. And
                # what `alpha` lets through of retained pictures is of few people: one may lose more than that share.
                shares = [remembered([name]) for name in names]
                assert median(shares) >= 0.8 if known else mean(shares) <= 0.1, (active, names, shares)
    finally:
        model.delete_adapter("further")
        model.set_adapter("default")
