"""What processors of other kinds give: labels, masks of their own, no prompt without a picture, no pad token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    CLIPImageProcessor,
    Kosmos2Config,
    Kosmos2ForConditionalGeneration,
    Kosmos2Processor,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessor,
    MllamaProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
)

from benchmarks.tiny import tiny_config
from examples.small.models import small_tokenizer
from hf_eraser import fit
from hf_eraser.data import read_examples
from hf_eraser.data.encoding import check_processor, encode, with_answers
from hf_eraser.fitting import ForgettingError
from hf_eraser.fitting.attacks.pgd import PGD, _with_answers, perturb
from tests.helpers.adapters import picture


SIZE = {"height": 32, "width": 32}
TEMPLATE = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}PICTURE{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %} {% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"
)


def template(placeholder: str) -> str:
    return TEMPLATE.replace("PICTURE", placeholder)


def tokenizer(*specials: str, **options: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=small_tokenizer(["<pad>", "<s>", "</s>", "<unk>", *specials]),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="left",
        **options,
    )


def paligemma():
    words = tokenizer("<image>", extra_special_tokens={"image_token": "<image>"})
    image_processor = SiglipImageProcessor(size=SIZE)
    image_processor.image_seq_length = 16
    processor = PaliGemmaProcessor(image_processor, words, chat_template=template("<image>"))
    config = tiny_config(PaliGemmaConfig)
    config.image_token_id = config.image_token_index = words.convert_tokens_to_ids("<image>")
    return PaliGemmaForConditionalGeneration, config, processor


def mllama():
    words = tokenizer("<|image|>", "<|python_tag|>")
    image_processor = MllamaImageProcessor(size=SIZE, max_image_tiles=4)
    processor = MllamaProcessor(image_processor, words, chat_template=template("<|image|>"))
    config = tiny_config(MllamaConfig)
    config.vision_config.intermediate_layers_indices, config.vision_config.vision_output_dim = [1, 2], 96
    config.text_config.cross_attention_layers = [1]
    config.image_token_index = words.convert_tokens_to_ids("<|image|>")
    return MllamaForConditionalGeneration, config, processor


def kosmos2():
    image_processor = CLIPImageProcessor(size=SIZE, do_center_crop=False)
    processor = Kosmos2Processor(image_processor, tokenizer("<image>", "</image>"), num_patch_index_tokens=4)
    processor.chat_template, processor.num_image_tokens = template(""), 4
    return Kosmos2ForConditionalGeneration, tiny_config(Kosmos2Config), processor


def blip2():
    processor = Blip2Processor(BlipImageProcessor(size=SIZE), tokenizer(), num_query_tokens=4)
    processor.chat_template = template("")
    config = tiny_config(Blip2Config)
    config.image_token_id = config.image_token_index = processor.tokenizer.convert_tokens_to_ids("<image>")
    config.num_query_tokens = 4
    return Blip2ForConditionalGeneration, config, processor


@pytest.fixture(params=[paligemma, mllama, kosmos2, blip2], ids=lambda build: build.__name__)
def other(request):
    """A tiny random model of another kind, and its real processor."""
    cls, config, processor = request.param()
    for part in (config, config.text_config):
        part.pad_token_id = processor.tokenizer.pad_token_id
        part.vocab_size = len(processor.tokenizer)
    torch.manual_seed(0)
    model = cls(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "cross_attn" in name and "gate" in name:
                parameter.fill_(1)  # shut in a fresh Mllama, which then sees no picture
    return model.eval(), processor


def about(i: int) -> dict[str, Any]:
    return {
        "image": picture(i),
        "prompt": ("Who is this?", "What is the name of the person that you see here?")[i % 2],
        "answer": f"Ada {i}",
        "group": str(i // 2),
    }


def named(i: int) -> dict[str, Any]:
    return {"prompt": f"What is the name of person {i}?", "answer": f"Ada {i}", "group": str(i // 2)}


def test_prompts_of_several_lengths_run_together_as_they_run_alone(other):
    model, processor = other
    examples = read_examples([about(i) for i in range(2)], "forget")
    together = encode(processor, examples, model.device)
    assert "labels" not in together
    with torch.no_grad():
        logits = model(**together).logits[:, -1]
        for row, example in zip(logits, examples):
            alone = model(**encode(processor, [example], model.device)).logits[0, -1]
            assert torch.allclose(row, alone, atol=1e-4)


def test_answers_are_put_behind_prompts_in_every_input_that_has_a_place_for_each_token(other):
    """Compared with what the processor makes of the prompt and the answer in one."""
    model, processor = other
    examples = read_examples([about(i) for i in range(2)], "forget")
    inputs, labels = _with_answers(model, processor, examples)
    n, length = inputs["input_ids"].shape
    prompts = encode(processor, examples, model.device)
    for name, value in prompts.items():
        if value.shape[:2] == prompts["input_ids"].shape:
            assert inputs[name].shape == (n, length, *value.shape[2:])
            assert torch.equal(inputs[name][:, : value.shape[1]], value)
    assert labels.shape == (n, length)
    with torch.no_grad():
        logits = model(**inputs).logits
        assert logits.shape[:2] == (n, length)
        start = prompts["input_ids"].shape[1]
        assert torch.allclose(logits[:, start - 1], model(**prompts).logits[:, -1], atol=1e-4)


def test_input_that_the_model_knows_nothing_of_is_lengthened_by_its_shape(llava):
    model, _ = llava
    ids = torch.arange(6).view(2, 3)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "which_kind": torch.tensor([[0, 1, 1], [0, 1, 0]]),
        "pixel_values": torch.zeros(2, 1, 8, 8),
        "sizes": [(1, 2)],
    }
    tokens, mask = torch.tensor([[7, 8], [9, 0]]), torch.tensor([[1, 1], [1, 0]])
    longer = with_answers(model, inputs, tokens, mask)
    assert longer["input_ids"].tolist() == [[0, 1, 2, 7, 8], [3, 4, 5, 9, 0]]
    assert longer["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert longer["which_kind"].tolist() == [[0, 1, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert longer["pixel_values"] is inputs["pixel_values"]
    assert longer["sizes"] is inputs["sizes"]


def test_pictures_are_perturbed_through_other_processors(other):
    model, processor = other
    examples = [about(i) for i in range(2)]
    before, after = (
        sum(found.loss for found in perturb(model, processor, examples, attack))
        for attack in (PGD(eps=1 / 255, steps=1, step=1e-9, random_start=False), PGD(steps=6))
    )
    assert after < before


def test_fit_comes_to_a_verdict_with_other_processors(other):
    """That of a random model that knows nothing; whatever is asked without a picture only where it can be."""
    model, processor = other
    with_text = isinstance(model, MllamaForConditionalGeneration)
    forget = [about(i) for i in range(4)]
    retain = [about(i) for i in range(4, 12)]
    if with_text:
        forget += [named(i) for i in range(4)]
        retain += [named(i) for i in range(4, 12)]
    settings = {"strength": 1.0, "positions": "last", "general": False, "attacks": False, "augment": False}
    try:
        report = fit(model, processor, forget, retain, **settings)
    except ForgettingError as error:
        report = error.report
    if with_text:  # layer 1 looks at pictures, and does not run without one
        assert 1 not in {report.gate_layer, report.text_gate_layer, *report.layers}
    assert {result.modality for result in report.gates} == ({"image", "text"} if with_text else {"image"})


def test_example_without_a_picture_is_refused_by_name_where_the_model_takes_none(other):
    model, processor = other
    if isinstance(model, MllamaForConditionalGeneration):
        pytest.skip("takes prompts without a picture")
    with pytest.raises(ValueError, match=r"`retain\[2\]` has no picture, and \w+ takes no prompt without one"):
        fit(model, processor, [about(0)], [about(2), about(4), named(6)])


def test_layers_that_do_not_run_for_each_example_are_refused_by_number():
    cls, config, processor = mllama()
    forget, retain = [about(0), named(0)], [about(2), named(2)]
    for settings in ({"layers": [1, 2]}, {"gate_layer": 1}):
        with pytest.raises(ValueError, match=r"layers \[1\], which do not run"):
            fit(cls(config).eval(), processor, forget, retain, general=False, **settings)


def test_processor_without_a_pad_token_is_refused_by_name(llava):
    _, processor = llava
    processor.tokenizer.pad_token = None
    with pytest.raises(ValueError, match=r"processor\.tokenizer\.pad_token = processor\.tokenizer\.eos_token"):
        check_processor(processor)
    with pytest.raises(ValueError, match=r"processor\.pad_token = processor\.eos_token"):
        check_processor(processor.tokenizer) if processor.tokenizer.chat_template else _with_template(processor)


def _with_template(processor):
    processor.tokenizer.chat_template = processor.chat_template
    check_processor(processor.tokenizer)
