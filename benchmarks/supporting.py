"""Whether a steering adapter does what it promises on a tiny random model, its gate open for half of the prompts."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import ContinuousBatchingConfig, GenerationConfig

from hf_eraser import SteeringAdapterConfig
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.tuner.decoder import find_decoder, image_token_ids
from hf_eraser.tuner.explain import gate_decisions
from hf_eraser.tuner.layout import adapter_layout
from hf_eraser.tuner.prompt import image_mask_of, picture_places

from .tiny import build_tiny
from .tiny_pictures import with_picture


HOLDS, WRONG, NOT_BASE = "holds", "wrong", "the base model does not"
_NAME = "forget"
_LENGTHS = (9, 5, 12, 7, 3, 8)
_GREEDY: dict[str, Any] = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "eos_token_id": None}
_OPEN = (-1e4, -1e3)


class _NotBase(Exception):
    """The base model itself does not do what is to be checked."""


def check_type(model_type: str, task: str) -> dict[str, Any]:
    """
    Check one type of model.

    Returns:
        `verdict`: `"holds"`; `"text only"`, where it does for text and no picture could be tried; `"refused"`, with a
        `reason`; `"wrong"`; or `"not run"`, where no such model could be built or run here, with a `reason`. And
        `checks`, what became of each.
    """
    refused = None
    try:
        model = build_tiny(model_type, task)
        refused = _refusal(lambda: find_decoder(model))  # even where it cannot be asked anything
        if refused is not None:
            return {"verdict": "refused", "reason": refused, "checks": {}}
        checked = _Checked(model, with_pictures=task == "image-text-to-text")
    except Exception as error:
        return {"verdict": "not run", "reason": _said(error), "checks": {}}
    refused = _refusal(lambda: checked.attach(*_OPEN))
    if refused is not None:
        return {"verdict": "refused", "reason": refused, "checks": {}}
    checks: dict[str, str] = {}
    for name, check in checked.checks().items():
        try:
            checks[name] = HOLDS if check() else WRONG
        except _NotBase:
            checks[name] = NOT_BASE
        except Exception as error:
            if "steering adapter" in str(error):  # a message of ours
                return {"verdict": "refused", "reason": _said(error), "checks": checks}
            checks[name] = f"fails: {_said(error)}"
    bad = [name for name, found in checks.items() if found not in (HOLDS, NOT_BASE)]
    if bad:
        return {"verdict": "wrong", "reason": ", ".join(bad), "checks": checks}
    only_text = task == "image-text-to-text" and checks.get("picture") != HOLDS
    return {"verdict": "text only" if only_text else "holds", "reason": "", "checks": checks}


def _refusal(run: Callable[[], Any]) -> str | None:
    try:
        run()
    except (ValueError, TypeError) as error:
        return _said(error)
    return None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


class _Checked:
    """A model, prompts for it, and what it gives without an adapter."""

    def __init__(self, model: Any, *, with_pictures: bool) -> None:
        # As an adapter has them: some of PyTorch's kernels round otherwise where a weight takes gradients.
        self.model = model.requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        vocabulary = self.model.get_input_embeddings().num_embeddings
        ids = [torch.randint(10, min(vocabulary, 200) - 10, (1, n), generator=generator) for n in _LENGTHS]
        self.pictured = with_picture(model, ids[0], 1) if with_pictures else None
        try:
            self.prompts: list[dict[str, Tensor]] = [{"input_ids": row} for row in ids]
            self.base = [self.logits(prompt) for prompt in self.prompts]
        except Exception:  # some take no prompt without a picture
            found = [with_picture(model, row, 1 + i) for i, row in enumerate(ids)]
            if None in found:
                raise
            self.prompts = [prompt[0] for prompt in found if prompt is not None]
            self.base = [self.logits(prompt) for prompt in self.prompts]
        if not all(bool(logits.isfinite().all()) for logits in self.base):
            raise ValueError("with random weights, its logits are not finite")
        self.state = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def checks(self) -> dict[str, Callable[[], bool]]:
        """What is checked, in this order."""
        return {
            "steers": self.steers,
            "off, bit for bit": self.off,
            "weights untouched": self.untouched,
            "padded left": lambda: self.padded("left"),
            "padded right": lambda: self.padded("right"),
            "without a cache": lambda: self.generates_alike(use_cache=False),
            "static cache": lambda: self.generates_alike(cache_implementation="static"),
            "beams": self.beams,
            "embeddings": self.embeddings,
            "bfloat16": self.bfloat16,
            "saved and loaded": self.saved,
            "picture": self.picture,
            "generate_batch": self.batched,  # last: where the base model fails at it, it stays half set up for it
        }

    def attach(self, low: float, high: float, **settings: Any) -> None:
        config = SteeringAdapterConfig(
            **{
                "layers_to_transform": [2],
                "gate_layer": 1,
                "positions": "last",
                "readout": "joined",
                "strength": 4.0,
                **settings,
            }
        )
        generator, tensors = torch.Generator().manual_seed(0), {}
        decoder = find_decoder(self.model)
        for tensor in adapter_layout(decoder.names, decoder.hidden_size, config):
            if tensor.kind == "steering_gate_bounds":
                tensors[tensor.file_name] = torch.tensor([low, high]).expand(tensor.shape).clone()
            else:
                tensors[tensor.file_name] = torch.randn(tensor.shape, generator=generator)
        if _NAME in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter(_NAME)
        attach_fitted(self.model, config, tensors, _NAME)

    def half_open(self, **settings: Any) -> None:
        """An adapter whose gate opens for half of the prompts."""
        self.attach(*_OPEN, **settings)
        scores = sorted(
            decision.score
            for prompt in self.prompts
            for gates in gate_decisions(self.model, prompt)[0].values()
            for decision in gates
        )
        middle = (scores[len(scores) // 2 - 1] + scores[len(scores) // 2]) / 2
        self.attach(middle, middle + 1e-3, **settings)

    @torch.no_grad()
    def logits(self, inputs: Mapping[str, Tensor | None]) -> Tensor:
        return self.model(**inputs).logits.float()

    def of_base(self, run: Callable[[], Any]) -> Any:
        with self.model.disable_adapter():
            try:
                return run()
            except Exception as error:
                raise _NotBase from error

    def steers(self) -> bool:
        return all(not torch.equal(self.logits(p)[:, -1], b[:, -1]) for p, b in zip(self.prompts, self.base))

    def off(self) -> bool:
        with self.model.disable_adapter():
            return all(torch.equal(self.logits(prompt), base) for prompt, base in zip(self.prompts, self.base))

    def untouched(self) -> bool:
        self.model.delete_adapter(_NAME)
        state = self.model.state_dict()
        self.half_open()
        return state.keys() == self.state.keys() and all(torch.equal(state[n], v) for n, v in self.state.items())

    def padded(self, side: str) -> bool:
        if any(len(prompt) > 1 for prompt in self.prompts):
            raise _NotBase  # pictures for several rows are put together by processors
        longest = max(_LENGTHS)
        ids = torch.zeros(len(_LENGTHS), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(self.prompts):
            n = prompt["input_ids"].shape[1]
            here = slice(longest - n, longest) if side == "left" else slice(0, n)
            ids[i, here], mask[i, here] = prompt["input_ids"][0], 1
        inputs = {"input_ids": ids, "attention_mask": mask}

        def as_alone(expected: list[Tensor]) -> bool:
            found = self.logits(inputs)
            return all(_close(found[i][mask[i].bool()], alone[0]) for i, alone in enumerate(expected))

        if not self.of_base(lambda: as_alone(self.base)):
            raise _NotBase
        return as_alone([self.logits(prompt) for prompt in self.prompts])

    def generated(self, **options: Any) -> list[list[int]]:
        return [self.model.generate(**prompt, **_GREEDY, **options)[0].tolist() for prompt in self.prompts]

    def generates_alike(self, **options: Any) -> bool:
        if self.of_base(self.generated) != self.of_base(lambda: self.generated(**options)):
            raise _NotBase
        found = []
        for steer_decode in (True, False):
            self.half_open(steer_decode=steer_decode)
            found.append(self.generated() == self.generated(**options))
        return all(found)

    def beams(self) -> bool:
        """Beams of one row are those of the row beside others, which a lost decision would change."""
        self.of_base(lambda: self.generated(num_beams=3))
        self.attach(*_OPEN, steer_decode=True, strength=20.0)
        steered = self.generated(num_beams=3)
        with self.model.disable_adapter():
            base = self.generated(num_beams=3)
        self.half_open()
        return steered != base

    @torch.no_grad()
    def embeddings(self) -> bool:
        embed = self.model.get_input_embeddings()

        def as_ids(expected: list[Tensor]) -> bool:
            return all(
                _close(self.logits({**prompt, "input_ids": None, "inputs_embeds": embed(prompt["input_ids"])}), of_ids)
                for prompt, of_ids in zip(self.prompts, expected)
            )

        if not self.of_base(lambda: as_ids(self.base)):
            raise _NotBase
        return as_ids([self.logits(prompt) for prompt in self.prompts])

    def bfloat16(self) -> bool:
        half: Any = copy.deepcopy(self.model).to(torch.bfloat16)
        tensors = [tensor for name, tensor in half.named_parameters() if "steering_" in name]
        prompts = [{n: v.bfloat16() if v.is_floating_point() else v for n, v in p.items()} for p in self.prompts]

        def last() -> list[Tensor]:
            with torch.no_grad():
                return [half(**prompt).logits[:, -1].float() for prompt in prompts]

        with half.disable_adapter():
            base = self.of_base(last)
        found = last()
        changed = [not torch.equal(a, b) for a, b in zip(found, base)]
        finite = all(bool(logits.isfinite().all()) for logits in found)
        return finite and any(changed) and not all(changed) and all(t.dtype == torch.float32 for t in tensors)

    def saved(self) -> bool:
        fresh = type(self.model).original_class(self.model.config).eval()
        fresh.load_state_dict(self.state)
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            fresh.load_adapter(folder, _NAME)
        with torch.no_grad():
            return all(torch.equal(fresh(**p).logits.float(), self.logits(p)) for p in self.prompts)

    def batched(self) -> bool:
        if any(len(prompt) > 1 for prompt in self.prompts):
            raise _NotBase  # continuous batching of transformers takes token ids
        asked = [prompt["input_ids"][0].tolist() for prompt in self.prompts]

        def texts() -> list[list[int]]:
            found = self.model.generate_batch(
                asked,
                generation_config=GenerationConfig(max_new_tokens=4, do_sample=False, eos_token_id=-1, pad_token_id=0),
                continuous_batching_config=ContinuousBatchingConfig(page_size=8, num_blocks=64, max_batch_tokens=16),
            )
            if len(found) != len(asked) or any(result.error for result in found.values()):
                raise ValueError("requests failed")
            return [prompt + result.generated_tokens for prompt, result in zip(asked, found.values())]

        if self.of_base(texts) != self.of_base(self.generated):
            raise _NotBase
        return texts() == self.generated()

    def picture(self) -> bool:
        """A prompt with a picture is judged by its own gate, and what counts as picture is what depends on it."""
        if self.pictured is None:
            raise _NotBase
        self.attach(*_OPEN)
        pictured, other = self.pictured
        [gates] = gate_decisions(self.model, pictured)
        own_gate = all(decision.modality == "image" for of_adapter in gates.values() for decision in of_adapter)
        ids = pictured["input_ids"]
        changed = (self.entering(pictured) != self.entering(other)).any(dim=-1)
        if not bool(changed.any()):  # pictures come in by cross-attention
            return own_gate
        is_image = image_mask_of(
            ids, None, image_token_ids(self.model.config), self.model.get_input_embeddings(), True
        )
        marked = picture_places(pictured, (1, ids.shape[1]))
        is_image = is_image if marked is None else is_image | marked
        # Of a picture's tokens, some say where a line ends, whatever it shows.
        return own_gate and not bool((changed & ~is_image).any())

    @torch.no_grad()
    def entering(self, inputs: dict[str, Tensor]) -> Tensor:
        """What enters the first decoder layer, (1, length, d)."""
        found = []
        first = find_decoder(self.model).layers[0]
        hook = first.register_forward_pre_hook(
            lambda module, args, kwargs: found.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        try:
            self.model(**inputs)
        finally:
            hook.remove()
        return found[0]


def _close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * max(1.0, float(expected.abs().max())))
