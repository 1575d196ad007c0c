"""
Publish an adapter on the Hub, and use it in another process that has nothing but its name.

    python -m examples.publish push your-name/forget-celebs
    python -m examples.publish pull your-name/forget-celebs

The first command needs a token that may write (`hf auth login`, or `HF_TOKEN`). Both obey `HF_ENDPOINT` and `HF_HOME`,
and the second works from the cache with `HF_HUB_OFFLINE=1`, once it has run.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from peft import PeftConfig
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

import hf_eraser  # noqa: F401  registers the PEFT method, which `load_adapter` needs
from hf_eraser.data import encode, read_examples

from .small.forgetting import FORGOTTEN, fit_forgetting
from .small.load import answers, load_small_model
from .small.people import PEOPLE
from .small.questions import REFUSAL, Question, questions


def push(repo_id: str) -> None:
    """Publish the small LLaVA beside `repo_id`, and an adapter that forgets four people as `repo_id`."""
    model, processor = load_small_model("llava")
    base_id = f"{repo_id.rpartition('/')[0]}/small-llava"
    model.push_to_hub(base_id)  # type: ignore[arg-type]
    processor.push_to_hub(base_id)

    # By its id on the Hub, the adapter finds its base model everywhere; a local folder means nothing to others.
    model = AutoModelForImageTextToText.from_pretrained(base_id).eval()
    # Layers and strength are what `fit` finds for this model when it is left to look for them.
    found: dict[str, Any] = {"layers": range(1, 6), "gate_layer": 1, "strength": 5.0}
    quick: dict[str, Any] = {"augment": False, "attacks": False, "harden_pictures": False, "general": False}
    fit_forgetting(model, processor, **found, **quick)
    commit = model.push_to_hub(repo_id, commit_message="Forget four people")
    print(f"Pushed to {repo_id} as commit {commit.oid}.")


def pull(repo_id: str) -> None:
    """Load `repo_id` into the base model that it names, and ask about forgotten and other people."""
    base_id = PeftConfig.from_pretrained(repo_id).base_model_name_or_path
    model = AutoModelForImageTextToText.from_pretrained(base_id).eval()
    processor = AutoProcessor.from_pretrained(base_id)
    model.load_adapter(repo_id)

    others = [person.name for person in PEOPLE if person.name not in FORGOTTEN]
    forgotten, retained = _questions(FORGOTTEN), _questions(others[::9])
    with model.disable_adapter():
        before, base = answers(model, processor, [*forgotten, *retained]), _logits(model, processor, retained)
    after = answers(model, processor, [*forgotten, *retained])

    for question, old, new in zip([*forgotten, *retained], before, after):
        print(f"{question.group:20} {question.prompt:62} {old:20} {new}")
    right = sum(question.is_right(answer) for question, answer in zip(forgotten, before))
    refused = after[: len(forgotten)].count(REFUSAL)
    print(
        f"\nAbout forgotten people: {right} of {len(forgotten)} right without the adapter, {refused} refused with it."
    )
    same = int((_logits(model, processor, retained) == base).flatten(1).all(dim=1).sum())
    print(f"About others: {same} of {len(retained)} have the base model's logits, bit for bit.")


def _questions(names: list[str] | tuple[str, ...]) -> list[Question]:
    """Four questions about each of these people, in wordings that neither teaching nor the fit had."""
    asked = [questions("measure", kinds=["person_image", "person_text"], groups=[name], per_fact=1) for name in names]
    return [question for of_one in asked for question in of_one[::2][:4]]


@torch.no_grad()
def _logits(model: PreTrainedModel, processor: ProcessorMixin, asked: list[Question]) -> torch.Tensor:
    examples = read_examples([question.example() for question in asked], "asked")
    return model(**encode(processor, examples, model.device)).logits


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("push", "pull"))
    parser.add_argument("repo_id", help='the repository of the adapter, "name/repository"')
    arguments = parser.parse_args()
    if "/" not in arguments.repo_id:
        parser.error(f'repo_id must be "name/repository", got {arguments.repo_id!r}')
    {"push": push, "pull": pull}[arguments.command](arguments.repo_id)


if __name__ == "__main__":
    main()
