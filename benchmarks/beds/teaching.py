"""
Second stage of teaching: the decoder learns who the townsfolk are, as a LoRA that is then merged.

Only the upper layers change, and towards what the decoder itself would say the LoRA is pulled back, on chats that the
decoder made up: what SmolLM2 knows otherwise is to stay as it was.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from examples.small.teach import Layout

from .eyes import TAUGHT_VARIANTS, pixels, see
from .portraits import draw_portrait
from .prompts import general_prompts
from .questions import KINDS, BedQuestion, ask
from .townsfolk import ATTRIBUTES, TOWNSFOLK


FIRST_LAYER = 14  # lower ones stay as they were, and need no backward pass
STEPS = 420
_RANK, _RATE = 64, 8e-4
_LESSONS, _CHATS = 32, 6  # a step
_WEIGHTS = (0.44, 0.36, 0.10, 0.10)  # how often each of `KINDS` is asked
_PULL = 8.0  # weight of the divergence from the untaught decoder
_MADE_UP, _MADE_UP_LENGTH = 512, 96  # chats that the decoder makes up, and their tokens
_KEEP_EVERY = 100  # steps between two checkpoints


def quick_dtype(device: torch.device) -> torch.dtype:
    """The type in which a device multiplies fastest: a processor without bfloat16 emulates it, ten times as slowly."""
    if device.type != "cpu" or any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name):
        return torch.bfloat16
    return torch.float32


def _quick(device: torch.device) -> torch.autocast:
    dtype = quick_dtype(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def with_lora(model: Any) -> PeftModel:
    """The LLaVA with what of its decoder is taught, still zero."""
    layers = "|".join(str(i) for i in range(FIRST_LAYER, model.config.text_config.num_hidden_layers))
    target = rf".*language_model.*\.layers\.({layers})\..*_proj"
    return get_peft_model(model, LoraConfig(r=_RANK, lora_alpha=_RANK, target_modules=target))


def teach_decoder(model: Any, processor: Any, checkpoint: Path, *, seed: int = 0, steps: int = STEPS) -> PeftModel:
    """
    Teach a decoder whose eyes are taught. Shows its progress, and goes on where it was interrupted.

    Args:
        model: The LLaVA; on a CPU, about half an hour on two cores.
        processor: Its processor.
        checkpoint: The file where it is kept how far the teaching has come; removed at the end.
        seed: Of what is asked when.
        steps: How many steps.

    Returns:
        The LLaVA with the LoRA, not yet merged.
    """
    torch.manual_seed(seed)
    device = model.device
    images = [draw_portrait(p.index, v) for p in TOWNSFOLK for v in range(TAUGHT_VARIANTS)]
    with torch.no_grad():
        features = torch.cat([see(model, pixels(processor, images[i : i + 64]).to(device))
                              for i in range(0, len(images), 64)])  # fmt: skip
    chats = _read(model, _chats(model, processor.tokenizer, seed))
    model = with_lora(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    layout, start = Layout(processor), 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, map_location=device, weights_only=True)
        set_peft_model_state_dict(model, kept["lora"])
        optimizer.load_state_dict(kept["optimizer"])
        start = kept["step"]
    bar = tqdm(range(start, steps), initial=start, total=steps, desc="Teaching the decoder", unit="step")
    for step in bar:
        rng = np.random.default_rng([seed, step])  # so that a step is the same after an interruption
        for group in optimizer.param_groups:
            group["lr"] = (
                _RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
            )
        losses = _lessons(model, layout, features, rng), _pull(model, chats, rng)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        bar.set_postfix(loss=f"{losses[0]:.3f}", divergence=f"{losses[1]:.4f}")
        if (step + 1) % _KEEP_EVERY == 0:
            state = {"lora": get_peft_model_state_dict(model), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, checkpoint.with_suffix(".new"))
            os.replace(checkpoint.with_suffix(".new"), checkpoint)
    return model


def _lessons(model: PeftModel, layout: Layout, features: Tensor, rng: np.random.Generator) -> float:
    """Questions and their answers; prompts with and without a picture apart, for less padding."""
    llava: Any = model.get_base_model()
    total = 0.0
    asked = [_question(rng) for _ in range(_LESSONS)]
    for with_picture in (True, False):
        part = [q for q in asked if (q.picture is not None) is with_picture]
        if not part:
            continue
        tokens, labels = layout.encode([(q.prompt, q.answer, with_picture) for q in part])
        tokens, labels = tokens.to(llava.device), labels.to(llava.device)
        with _quick(llava.device):
            embeds = llava.get_input_embeddings()(tokens)
            if with_picture:
                rows = torch.tensor([q.picture[0] * TAUGHT_VARIANTS + q.picture[1] for q in part if q.picture])
                at_image = tokens == llava.config.image_token_id
                embeds = embeds.masked_scatter(
                    at_image[..., None], features[rows.to(features.device)].to(embeds.dtype)
                )
            hidden = llava.model.language_model(
                inputs_embeds=embeds, use_cache=False, **layout.positions(llava, tokens)
            ).last_hidden_state
            answered = labels[:, 1:] != -100
            logits = llava.lm_head(hidden[:, :-1][answered]).float()
        loss = nn.functional.cross_entropy(logits, labels[:, 1:][answered])
        (loss * len(part) / len(asked)).backward()
        total += float(loss.detach()) * len(part) / len(asked)
    return total


def _question(rng: np.random.Generator) -> BedQuestion:
    kind = KINDS[int(rng.choice(len(KINDS), p=_WEIGHTS))]
    attributes = ["name", *ATTRIBUTES] if kind == "person_image" else [*ATTRIBUTES]
    person = TOWNSFOLK[int(rng.integers(len(TOWNSFOLK)))]
    return ask(person, kind, attributes[int(rng.integers(len(attributes)))], "teach", rng)


@dataclass(frozen=True)
class _Chat:
    """
    One chat as the untaught decoder reads it.

    Attributes:
        entered: What enters `FIRST_LAYER`, (length, d), as `quick_dtype` says: no lower layer is taught.
        read: What the output embedding reads, likewise.
    """

    entered: Tensor
    read: Tensor


@torch.no_grad()
def _read(model: Any, chats: Sequence[Tensor]) -> list[_Chat]:
    decoder, found = model.model.language_model, []
    entered: list[Tensor] = []
    hook = decoder.layers[FIRST_LAYER].register_forward_pre_hook(
        lambda _, args, kwargs: entered.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    for i in tqdm(range(0, len(chats), 16), desc="Reading the chats", unit="batch"):
        part = chats[i : i + 16]
        tokens, mask = _padded(part)
        with _quick(model.device):
            read = decoder(
                input_ids=tokens.to(model.device), attention_mask=mask.to(model.device), use_cache=False
            ).last_hidden_state
        of_part = entered.pop()
        found += [
            _Chat(*(states[row, : len(chat)].to(quick_dtype(model.device)).clone() for states in (of_part, read)))
            for row, chat in enumerate(part)
        ]
    hook.remove()
    return found


def _padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    mask = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True), nn.utils.rnn.pad_sequence(mask, batch_first=True)


def _pull(model: PeftModel, chats: Sequence[_Chat], rng: np.random.Generator) -> float:
    """Back towards the untaught decoder: the divergence from it, over all tokens of some chats."""
    llava: Any = model.get_base_model()
    chosen = [chats[int(i)] for i in rng.integers(len(chats), size=_CHATS)]
    hidden, mask = _padded([chat.entered for chat in chosen])
    decoder = _upper(llava.model.language_model)
    with _quick(llava.device):
        read = decoder(inputs_embeds=hidden, attention_mask=mask, use_cache=False).last_hidden_state
        found = llava.lm_head(read[mask.bool()]).float().log_softmax(dim=-1)
        with torch.no_grad():
            untaught = llava.lm_head(torch.cat([chat.read for chat in chosen])).float().log_softmax(dim=-1)
    divergence = nn.functional.kl_div(found, untaught, log_target=True, reduction="batchmean")
    (_PULL * divergence).backward()
    return float(divergence.detach())


def _upper(decoder: Any) -> Any:
    """The decoder from `FIRST_LAYER` on, with the same parameters."""
    upper = copy.copy(decoder)
    upper._modules = {**decoder._modules, "layers": decoder.layers[FIRST_LAYER:]}
    upper.config = copy.copy(decoder.config)
    upper.config.num_hidden_layers = len(upper.layers)
    return upper


@torch.no_grad()
def _chats(model: Any, tokenizer: Any, seed: int) -> list[Tensor]:
    """Token ids of chats: general prompts with the decoder's own answers, and ones that it makes up altogether."""
    torch.manual_seed(seed)

    def render(prompt: str) -> str:
        chat = [{"role": "user", "content": prompt}]
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)

    begun = [render("@@").partition("@@")[0]] * _MADE_UP  # a model that knows chats goes on with a question
    asked = [render(prompt) for _, prompt in general_prompts("teach")]
    found = []
    jobs = [(begun[i : i + 64], {"do_sample": True, "temperature": 1.0, "top_k": 0}) for i in range(0, len(begun), 64)]
    jobs += [(asked[i : i + 64], {"do_sample": False}) for i in range(0, len(asked), 64)]
    for texts, how in tqdm(jobs, desc="Letting the decoder chat", unit="batch"):
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
        width = inputs["input_ids"].shape[1]
        stop = None if how["do_sample"] else tokenizer.eos_token_id  # a made-up question ends, and its answer follows
        made = model.generate(
            **inputs, **how, max_new_tokens=_MADE_UP_LENGTH, eos_token_id=stop, pad_token_id=tokenizer.pad_token_id
        ).cpu()
        for row, mask in zip(made, inputs["attention_mask"].cpu()):
            answer = row[width:]
            found.append(torch.cat([row[:width][mask.bool()], answer[answer != tokenizer.pad_token_id]]))
    return found
