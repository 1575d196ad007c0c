"""`load_bed`: a bed that is ready to be measured on; the LLaVA is taught when it is first asked for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from filelock import FileLock
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from examples.small.load import user_cache

from .eyes import teach_eyes
from .llava import build_llava
from .smollm2 import load_smollm2
from .teaching import quick_dtype, teach_decoder, with_lora


BEDS = ("smollm2", "smollm2_llava")
_SOURCES = ("eyes", "llava", "portraits", "prompts", "questions", "smollm2", "teaching", "townsfolk")


def load_bed(name: str, device: str = "cpu") -> tuple[PreTrainedModel, Any]:
    """
    A model in float32 and evaluation mode, and its processor or tokenizer.

    Args:
        name: `"smollm2"`, or `"smollm2_llava"`, which knows the townsfolk. It is taught when it is first asked for,
            about half an hour on two cores, and kept in the user's cache.
        device: Where it is taught and put.

    Raises:
        ImportError: If SmolLM2's weights are not installed.
        ValueError: If there is no such bed.
    """
    if name not in BEDS:
        raise ValueError(f"`name` must be one of {BEDS}, got {name!r}.")
    if name == "smollm2":
        model: Any
        model, tokenizer = load_smollm2()
        return model.to(device), tokenizer
    folder = taught_folder()
    folder.mkdir(parents=True, exist_ok=True)
    eyes, lora = folder / "eyes.safetensors", folder / "lora.safetensors"
    with FileLock(f"{folder}.lock"):
        if not eyes.exists():
            _teach_eyes(eyes, device)
        if not lora.exists():
            _teach_decoder(eyes, lora, device)
    model, processor = _seeing(eyes, device)
    taught = with_lora(model)
    set_peft_model_state_dict(taught, load_file(lora))
    return taught.merge_and_unload().eval(), processor


def _teach_eyes(eyes: Path, device: str) -> None:
    model: Any
    model, processor = build_llava()
    teach_eyes(model.to(device), processor)
    parts = ("vision_tower", "multi_modal_projector")
    _save({name: tensor for name, tensor in model.state_dict().items() if any(part in name for part in parts)}, eyes)


def _seeing(eyes: Path, device: str) -> tuple[PreTrainedModel, Any]:
    model: Any
    model, processor = build_llava()
    model.load_state_dict(load_file(eyes), strict=False)
    return model.to(device), processor


def _teach_decoder(eyes: Path, lora: Path, device: str) -> None:
    model, processor = _seeing(eyes, device)
    # What is not taught in the type that is quickest, and the attention whose backward pass is quick on a CPU.
    model.model.language_model.to(quick_dtype(model.device))
    model.lm_head.to(quick_dtype(model.device))
    model.set_attn_implementation("eager")
    checkpoint = lora.with_name("unfinished.pt")
    taught = teach_decoder(model, processor, checkpoint)
    _save({name: tensor.to(torch.bfloat16) for name, tensor in get_peft_model_state_dict(taught).items()}, lora)
    checkpoint.unlink(missing_ok=True)


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def taught_folder() -> Path:
    """The folder of what was taught, in the user's cache; another one for each version of what determines it."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update((Path(__file__).parent / f"{source}.py").read_bytes())
    digest.update(" ".join((torch.__version__, transformers.__version__, peft.__version__)).encode())
    return user_cache("beds", "HF_ERASER_BEDS_CACHE") / f"smollm2_llava-{digest.hexdigest()[:16]}"
