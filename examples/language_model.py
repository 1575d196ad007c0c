"""
An adapter for a language model without pictures: the same calls, with a tokenizer in place of the processor.

    python -m examples.language_model

The model is the language model inside the small LLaVA, alone, as a `LlamaForCausalLM`.
"""

from __future__ import annotations

import tempfile
from typing import Any

from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from hf_eraser import fit
from hf_eraser.data import read_examples
from hf_eraser.evaluation import evaluate, greedy_answers

from .small.forgetting import FORGOTTEN, forgetting_examples
from .small.load import load_small_model
from .small.people import PEOPLE
from .small.questions import questions


def load_language_model() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A small `LlamaForCausalLM` that knows forty people by name, and its tokenizer."""
    llava: Any
    processor: Any
    llava, processor = load_small_model("llava")
    model: Any = LlamaForCausalLM(llava.config.get_text_config())
    model.model.load_state_dict(llava.model.language_model.state_dict())
    model.lm_head.load_state_dict(llava.lm_head.state_dict())
    model.generation_config = llava.generation_config
    processor.tokenizer.chat_template = processor.chat_template
    return model.eval(), processor.tokenizer


def text_only(examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The examples without a picture."""
    return [example for example in examples if "image" not in example]


def main() -> None:
    """Fit, ask, save, and load into a new model."""
    model: Any
    model, tokenizer = load_language_model()
    examples: dict[str, Any] = {name: text_only(of_set) for name, of_set in forgetting_examples().items()}
    report = fit(model, tokenizer, **examples, batch_size=32)
    print(report)

    others = [PEOPLE[i].name for i in (0, 7, 15, 30)]
    forget, retain = (
        [question.example() for question in questions("measure", kinds=["person_text"], groups=names, per_fact=4)]
        for names in (FORGOTTEN, others)
    )
    print(f"\nIn wordings that the fit never saw:\n\n{evaluate(model, tokenizer, forget, retain, batch_size=32)}")

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        new: Any = load_language_model()[0]
        new.load_adapter(folder)
    asked = read_examples([forget[0], retain[0]], "asked")
    print("\nA new model with the saved adapter:\n")
    for example, answer in zip(asked, greedy_answers(new, tokenizer, asked, batch_size=2)):
        print(f"  {example.messages[0]['content'][0]['text']}  {answer}")


if __name__ == "__main__":
    main()
