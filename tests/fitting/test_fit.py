"""`fit` as a whole on models that know nothing: what it refuses, and that it leaves no trace when it fails."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from hf_eraser import SteeringAdapterConfig, fit
from hf_eraser.evaluation.judging import UNKNOWN
from hf_eraser.fitting import PGD, Augmentation
from tests.helpers.adapters import fingerprint, hooks_of, logits, picture


def people(n: int, *, start: int = 0) -> list[dict]:
    return [
        {"image": picture(100 + i), "prompt": f"What is the {word} of this person?", "group": i, "wording": word}
        for i in range(start, start + n)
        for word in ("name", "job", "pet", "hobby")
    ]


FAST = {"layers": [3, 4], "gate_layer": 2, "readout": "image", "strength": 1.0, "augment": False, "general": False}

# Whoever knows nothing cannot be made to forget: what is looked at here is another thing.
FAST |= {"prefer": "retain"}


def test_fit_attaches_an_active_adapter_and_reports(untaught, tmp_path):
    model, processor = untaught
    before = fingerprint(model)
    report = fit(model, processor, people(2), people(10, start=2), **FAST)
    assert model.active_adapters() == ["default"]
    assert fingerprint(model) == before
    assert report.layers == [3, 4]
    assert report.gate_layer == 2
    assert set(report.calibration) == {"image"}
    assert report.calibration["image"].alpha == pytest.approx(1 / 11)  # every group is held out once
    text = str(report)
    assert "text" in " ".join(report.warnings)
    assert all(warning in text for warning in report.warnings)
    report.to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text().startswith("{")


def test_fit_chooses_what_is_left_out_and_shows_changed_pictures(llava):
    model, processor = llava
    report = fit(
        model,
        processor,
        people(2),
        people(6, start=2),
        augment=Augmentation(flip=False),
        general=False,
        prefer="retain",
        batch_size=64,
    )
    assert 0 < len(report.layers)
    assert report.gate_layer is not None
    assert min(report.layers) >= report.gate_layer
    assert {gate.readout for gate in report.gates} == {"last", "prompt", "image", "text"}
    assert len({gate.parameter for gate in report.gates}) > 1
    assert report.trials


def test_paper_s_recipe_gives_each_layer_a_gate_of_its_own(llava):
    model, processor = llava
    report = fit(
        model,
        processor,
        people(2),
        people(6, start=2),
        layers=[2, 3],
        gate_layer="each",
        readout="last",
        gate="linear",
        estimator="nullspace",
        strength=0.6,
        general=False,
        prefer="retain",
    )
    assert report.gate_layer is None
    names = [name.split(".layers.")[1] for name in model.get_adapter_state_dict()]
    assert sum("gate_weight" in name for name in names) == 2


def test_fit_takes_a_tokenizer_for_a_text_only_model(llava):
    _, processor = llava
    tokenizer = processor.tokenizer
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=2
    )
    questions = [
        {"prompt": f"{word} of person {i}?", "group": i, "wording": word}
        for i in range(12)
        for word in ("Name", "Job")
    ]
    model = LlamaForCausalLM(config).eval()
    report = fit(
        model,
        tokenizer,
        questions[:4],
        questions[4:],
        layers=[2],
        gate_layer=1,
        readout="last",
        strength=1.0,
        general=False,
        prefer="retain",
    )
    assert set(report.calibration) == {"text"}
    assert any("with an image are never steered" in warning for warning in report.warnings)
    assert model.active_adapters() == ["default"]


def test_fit_adds_an_adapter_to_a_peft_model(llava):
    model, processor = llava
    peft_model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "first")
    before = fingerprint(peft_model)
    arguments = {**FAST, "strength": None}
    fit(peft_model, processor, people(2), people(6, start=2), adapter_name="second", **arguments)
    assert peft_model.active_adapters == ["second"]
    assert set(peft_model.peft_config) == {"first", "second"}
    assert fingerprint(peft_model) == before
    peft_model.set_adapter("first")


def test_fit_reads_recall_examples_with_their_pictures_perturbed(untaught):
    model, processor = untaught
    forget = [{**example, "answer": "Ada"} for example in people(2)]
    directions = []
    for attack in (False, PGD(steps=2)):
        fit(model, processor, forget, people(6, start=2), adversarial=attack, **FAST)
        directions.append(model.get_adapter_state_dict())
        model.delete_adapter("default")
    for name, clean in directions[0].items():
        assert torch.equal(clean, directions[1][name]) is ("steering_direction" not in name)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"forget": []}, ValueError, "`forget` is empty"),
        ({"retain": []}, ValueError, "`retain` is empty"),
        ({"retain": people(1)}, ValueError, r"`forget\[0\]` and `retain\[0\]` are the same example"),
        ({"forget": [{"image": "nowhere.png", "prompt": "Who?"}]}, ValueError, r"forget\[0\]"),
        ({"forget": [{"image": 7, "prompt": "Who?"}]}, TypeError, r"forget\[0\]"),
        ({"forget": [{"text": "Who?"}]}, TypeError, "unknown keys"),
        ({"forget": "Who?"}, TypeError, "`forget` must be a list"),
        ({"layers": [77]}, ValueError, "layer 77"),
        ({"layers": [1], "gate_layer": 2}, ValueError, "comes before"),
        ({"gate_layer": "all"}, ValueError, "`gate_layer`"),
        ({"readout": "middle"}, ValueError, "`readout`"),
        ({"gate": "open"}, ValueError, "`gate`"),
        ({"estimator": "magic"}, ValueError, "`estimator`"),
        ({"alpha": 1.5}, ValueError, "`alpha`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"strength": -1.0}, ValueError, "`strength`"),
        ({"ridge": 0.0}, ValueError, "`ridge`"),
        ({"null_space_share": 0.3}, ValueError, "estimator"),
        ({"null_space_energy": 0.1}, ValueError, "estimator"),
        ({"direction": "pca"}, ValueError, "`direction`"),
        ({"answer": "silence"}, ValueError, "`answer`"),
        ({"answer": "unknown", "refusal": people(1)}, ValueError, "`answer`='unknown'"),
        ({"calibration": "both"}, ValueError, "`calibration`"),
        ({"calibration": "split", "prefer": "forget"}, ValueError, "`calibration`='split'"),
        ({"harden_pictures": 3}, TypeError, "`harden_pictures`"),
        ({"contrast": "pictures"}, ValueError, "`contrast`"),
        ({"contrast": "text"}, ValueError, "`recall` examples without an image"),
        ({"forget": [*people(1), {"prompt": "Who?", "concept": "a"}]}, ValueError, r"`forget\[0\]` has no 'concept'"),
        (
            {"recall": [{"prompt": "Who?", "concept": "a"}]},
            ValueError,
            "`recall` names concepts that `forget` does not",
        ),
        (
            {"forget": [{"prompt": "Who?", "concept": "a"}], "refusal": [{"prompt": "Why?", "concept": []}]},
            TypeError,
            "'concept'",
        ),
        (
            {
                "forget": [{"prompt": "Who?", "concept": "a"}, {"prompt": "When?", "concept": "b"}],
                "refusal": [{"prompt": "Why?", "concept": "a"}],
            },
            ValueError,
            "no `refusal` examples for concept 'b'",
        ),
        ({"null_space_energy": 1.0, "estimator": "nullspace"}, ValueError, "`null_space_energy`"),
        (
            {"null_space_energy": 0.1, "null_space_share": 0.3, "estimator": "nullspace"},
            ValueError,
            "not both",
        ),
        ({"adapter_name": "a.b"}, ValueError, "`adapter_name`"),
        ({"adversarial": "yes"}, TypeError, "`adversarial`"),
        ({"adversarial": True}, ValueError, "`adversarial` perturbs"),
        ({"processor": None}, TypeError, "`processor`"),
    ],
)
def test_bad_argument_is_named_before_any_forward_pass(llava, change, error, message):
    model, processor = llava
    classes = [type(module) for module in model.modules()]
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    arguments = {"processor": processor, "forget": people(1), "retain": people(3, start=1), **change}
    with pytest.raises(error, match=message):
        fit(model, **arguments)
    assert [type(module) for module in model.modules()] == classes
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("failing_call", [1, 5, 12, 30])
def test_interrupted_fit_leaves_no_hook_and_no_adapter(llava, failing_call):
    model, processor = llava
    inputs = {"input_ids": torch.arange(20, 30)[None]}
    base = logits(model, inputs)
    model.train()
    classes, calls = [type(m) for m in model.modules()], [0]

    def interrupt(*_: object) -> None:
        calls[0] += 1
        if calls[0] == failing_call:
            raise KeyboardInterrupt

    handle = model.model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            processor,
            people(2),
            people(6, start=2),
            general=False,
            prefer="retain",
            augment=False,
            layers=[3],
            gate_layer=2,
        )
    handle.remove()
    assert [type(m) for m in model.modules()] == classes
    assert hooks_of(model) == []
    assert model.training
    assert not getattr(model, "peft_config", None)
    assert torch.equal(logits(model.eval(), inputs), base)


def test_taken_adapter_name_is_refused(llava):
    model, processor = llava
    fit(model, processor, people(2), people(6, start=2), **FAST)
    with pytest.raises(ValueError, match="is taken"):
        fit(model, processor, people(2), people(6, start=2), **FAST)


def test_general_traffic_of_one_s_own_is_read_once_and_held_against_the_gate(llava):
    model, processor = llava
    general = [{"prompt": f"Name {word}."} for word in ("a colour", "a town", "a river", "two trees", "the sea", "it")]
    general += [{"image": picture(500 + i), "prompt": "Describe it."} for i in range(6)]
    report = fit(model, processor, people(2), people(10, start=2), **{**FAST, "general": general})
    assert report.counts["general"] == 12
    assert report.calibration["image"].general_rate == 0.0
    assert {gate.general_share for gate in report.gates} == {0.0, 0.25, 0.75}
    assert all(point.general_rate is not None for point in report.trade_off)


def test_a_sentence_is_put_out_word_for_word_where_the_gate_opens(untaught):
    model, processor = untaught
    sentence = "I cannot answer this question."
    fit(model, processor, people(2), people(10, start=2), **FAST, answer=sentence, harden_pictures=False)
    config = model.peft_config["default"]
    assert config.answer == sentence
    assert config.answer_ids[-1] == processor.tokenizer.eos_token_id
    assert processor.tokenizer.decode(config.answer_ids[:-1]).strip() == sentence


def test_unknown_forces_that_it_is_not_known(llava):
    model, processor = llava
    report = fit(model, processor, people(2), people(10, start=2), **FAST, answer="unknown", harden_pictures=False)
    assert {concept.forced_refusal for concept in report.concepts} == {UNKNOWN}


def test_a_report_on_few_held_out_prompts_says_so(llava):
    model, processor = llava
    report = fit(model, processor, people(2), people(10, start=2), **FAST, harden_pictures=False)
    (asked,) = [attack for attack in report.attacks if attack.kind == "none"]
    assert any(f"few held-out forget prompts ({asked.count} with an image)" in w for w in report.warnings)


def test_a_concept_without_examples_of_one_kind_of_prompt_is_named(llava):
    model, processor = llava
    asked = [{**example, "concept": example["group"]} for example in people(2)]
    by_name = [{key: value for key, value in example.items() if key != "image"} for example in asked]
    by_name = [{**e, "prompt": f"{e['prompt']} {e['group']}"} for e in by_name if e["group"] == 0]
    others = [{**e, "prompt": f"{e['prompt']} {e['group']}"} for e in people(10, start=2)]
    texts = [{key: value for key, value in example.items() if key != "image"} for example in others]
    options = {**FAST, "readout": "prompt", "harden_pictures": False}
    report = fit(model, processor, [*asked, *by_name], [*people(10, start=2), *texts], **options)
    assert "text" not in report.concepts[1].calibration
    assert any("too few forget examples of text only of concept 1" in warning for warning in report.warnings)
