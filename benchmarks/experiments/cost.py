"""
What steering costs on a decoder of SmolLM2-135M's size, and on a GPU on one of LLaVA-1.5-7B's, as ratios in one run,
beside a LoRA on the same layers; and what fitting gates costs beside the forward passes that it cannot do without.

The weights are random: they make no difference to the time. Each round times every variant once, in turn, so that a
busy machine slows all of them alike; a ratio is the median over the rounds. Fitting is a LLaVA's with that decoder,
with 8 candidate layers and all readouts, against plain forward passes over the very same batches; the more examples,
the less the rest of it weighs.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from peft import LoraConfig, get_peft_model
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from benchmarks.markdown import table
from benchmarks.measuring import clock
from benchmarks.result import Result
from examples.small.models import build_llava
from examples.small.people import PEOPLE
from examples.small.questions import questions
from hf_eraser import SteeringAdapterConfig
from hf_eraser.data import Example, read_examples
from hf_eraser.fitting import Augmentation
from hf_eraser.fitting.gates.choosing import choose_gates
from hf_eraser.fitting.gates.delivering import gate_tensors
from hf_eraser.fitting.gates.solving import RIDGES
from hf_eraser.fitting.gates.trying import judge_gates
from hf_eraser.fitting.reading.capture import Captured
from hf_eraser.fitting.reading.split import split_examples
from hf_eraser.fitting.reading.views import Source, View
from hf_eraser.tuner.fields import READOUTS


# SmolLM2-135M: https://huggingface.co/HuggingFaceTB/SmolLM2-135M/blob/main/config.json
_SMOLLM2 = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
)
# LLaVA-1.5-7B's decoder: https://huggingface.co/llava-hf/llava-1.5-7b-hf/blob/main/config.json
_7B = LlamaConfig(vocab_size=32064, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32)

_LAYERS = list(range(12, 18))

# The fit: layers that the gate is tried on, pixels a side of a patch, and patches a side, each an image token.
_GATE_LAYERS = (2, 5, 7, 10, 12, 15, 17, 20)
_PATCH, _SIDE = 12, 12


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """
    Time steering, then fitting; no small model is used.

    Raises:
        RuntimeError: If `model_name` is `"7b"` and there is no GPU.
    """
    torch.manual_seed(configuration["seed"])
    options = {name: configuration[name] for name in ("rounds", "tokens", "adapters", "rank")}
    if model_name == "7b":
        if not torch.cuda.is_available():
            raise RuntimeError("A decoder of 7B is timed on a GPU, and there is none: give `--models none`.")
        return {"steering": _time_steering(_7B, "cuda", torch.bfloat16, **options)}
    steering = _time_steering(_SMOLLM2, "cpu", torch.float32, **options)
    loading = _time_loading(configuration["rounds"], configuration["rank"])
    return {"steering": steering, "loading": loading, "fitting": _time_fitting(configuration["people"])}


def page(results: Mapping[str, Result]) -> str:
    """A table for each decoder, and a sentence."""
    parts = ["## What it costs"]
    for name, result in results.items():
        where = (
            f"LLaVA-1.5-7B's size (32 layers, width 4096, random weights) in bfloat16 on an "
            f"{result.machine['accelerator']}"
            if name == "7b"
            else "SmolLM2-135M's size (30 layers, width 576) in float32 on the CPU"
        )
        rows = [
            (row["variant"], row["of"], f"{row['prefill']:.3f}", f"{row['decode']:.3f}")
            for row in result.figures["steering"]
        ]
        parts += [
            f"A decoder of {where}, 6 of its layers adapted, as multiples of the base model's time in the same run; "
            f"medians over {result.configuration['rounds']} rounds.",
            table(("variant", "of", "prefill", "decode"), rows, left=2),
        ]
        if loading := result.figures.get("loading"):
            parts.append(
                f"Loading an adapter onto the loaded model took {1000 * loading['steering']:.0f} ms, the LoRA "
                f"{1000 * loading['lora']:.0f} ms."
            )
        if fit := result.figures.get("fitting"):
            parts.append(
                f"Gates tried on {fit['layers']} layers in every readout took {fit['ratio']:.3f} times as long as the "
                f"plain forward passes over the same batches ({fit['examples']} examples, {fit['passes']} passes)."
            )
    return "\n\n".join(parts)


def _time_steering(
    config: LlamaConfig, device: str, dtype: torch.dtype, *, rounds: int, tokens: int, adapters: int, rank: int
) -> list[dict[str, Any]]:
    torch.set_default_dtype(dtype)
    with torch.device(device):  # where weights are drawn
        base = LlamaForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)
    stacked, lora = f"{adapters} steering, merged", f"LoRA, rank {rank}"
    models = {
        "base": base,
        "steering": _steered(base, 1),
        stacked: _steered(base, adapters),
        lora: get_peft_model(
            _copied(base),
            LoraConfig(
                r=rank, target_modules=["q_proj", "v_proj"], layers_to_transform=_LAYERS, task_type="CAUSAL_LM"
            ),
        ).eval(),
    }
    prompts = torch.randint(0, config.vocab_size, (4, tokens), device=device)

    def prefill(model: torch.nn.Module) -> Callable[[], object]:
        return lambda: model(input_ids=prompts, use_cache=True)

    def decode(model: torch.nn.Module) -> Callable[[], object]:
        cache = model(input_ids=prompts[:1], use_cache=True).past_key_values
        token = prompts[:1, :1]

        def step() -> None:
            for _ in range(8):
                model(input_ids=token, past_key_values=cache, use_cache=True)
            cache.crop(-8)

        return step

    with torch.no_grad():
        seconds = {
            name: _seconds({n: task(m) for n, m in models.items()}, rounds)
            for name, task in (("prefill", prefill), ("decode", decode))
        }
    compared = [(name, "base") for name in models] + [(stacked, "steering")]
    return [
        {"variant": name, "of": of} | {task: _ratio(column, name, of) for task, column in seconds.items()}
        for name, of in compared
    ]


def _time_loading(rounds: int, rank: int) -> dict[str, float]:
    """The time that `load_adapter` takes on a model that is there already; medians."""
    base = LlamaForCausalLM(_SMOLLM2).eval()
    lora = LoraConfig(r=rank, target_modules=["q_proj", "v_proj"], layers_to_transform=_LAYERS, task_type="CAUSAL_LM")
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        steered = _copied(base)
        steered.add_adapter(SteeringAdapterConfig(layers_to_transform=_LAYERS, gate_layer=_LAYERS[0]))
        steered.save_pretrained(f"{folder}/steering")
        get_peft_model(_copied(base), lora).save_pretrained(f"{folder}/lora")
        for _ in range(rounds + 1):
            for name in ("steering", "lora"):
                model = _copied(base)
                start = clock()
                model.load_adapter(f"{folder}/{name}")
                seconds.setdefault(name, []).append(clock() - start)
    return {name: statistics.median(of[1:]) for name, of in seconds.items()}  # the first one imports


def _copied(base: LlamaForCausalLM) -> LlamaForCausalLM:
    """A model of its own with the same parameters, of which a GPU has room for one."""
    return copy.deepcopy(base, {id(parameter): parameter for parameter in base.parameters()})


def _steered(base: LlamaForCausalLM, adapters: int) -> LlamaForCausalLM:
    """The model with `adapters` active adapters whose gates are open; merged, if there are several."""
    model = _copied(base)
    peft_model = get_peft_model(
        model, SteeringAdapterConfig(layers_to_transform=_LAYERS, gate_layer=_LAYERS[0]), adapter_name="0"
    )
    for i in range(1, adapters):
        peft_model.add_adapter(str(i), SteeringAdapterConfig(layers_to_transform=_LAYERS, gate_layer=_LAYERS[0]))
    for name, parameter in peft_model.named_parameters():
        if "steering_gate_bounds" in name:
            parameter.data.copy_(torch.tensor([-2e6, -1e6]).expand_as(parameter))
        elif "steering_" in name:
            parameter.data.normal_(std=1e-3)
    tuner: Any = peft_model.base_model
    tuner.set_adapter([str(i) for i in range(adapters)])
    if adapters > 1:
        peft_model.merge_adapter()
    return model


def _seconds(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The time of each task in each round."""
    for task in tasks.values():
        task()
    names = list(tasks)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in tqdm(range(rounds), desc="Timing", unit="round"):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = clock()
            tasks[name]()
            seconds[name].append(clock() - start)
    return seconds


def _ratio(seconds: dict[str, list[float]], name: str, of: str) -> float:
    """The median over the rounds of a task's time as a multiple of another one's."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[of]))


@dataclass(frozen=True)
class _Timed(Source):
    """
    A source that runs a copy of the model over each batch too, without hooks, and notes how long that took.

    Attributes:
        plain: The copy.
        inputs: The inputs of the model's last forward pass.
        seconds: The time of each forward pass of the copy.
    """

    plain: Any
    inputs: dict[str, Any]
    seconds: list[float]

    def read(
        self, examples: Sequence[Example], layers: Sequence[int], *, views: Sequence[View], description: str
    ) -> Iterator[Captured]:
        """Capture views of examples, and time the copy on each batch."""
        for batch in super().read(examples, layers, views=views, description=description):
            yield batch
            start = time.perf_counter()
            with torch.no_grad():
                self.plain(**self.inputs)
            self.seconds.append(time.perf_counter() - start)


def _time_fitting(people: int) -> dict[str, Any]:
    """Time everything that makes the gates: examples, readouts, moments, solving, judging and choosing."""
    processor: Any = build_llava()[1]
    size = _PATCH * _SIDE
    processor.image_processor.size = {"height": size, "width": size}
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=128,
                intermediate_size=512,
                num_hidden_layers=3,
                num_attention_heads=4,
                image_size=size,
                patch_size=_PATCH,
            ),
            text_config=_SMOLLM2,
            image_token_index=processor.image_token_id,
            image_seq_length=_SIDE**2,
            vision_feature_layer=-1,
        )
    ).eval()
    names = [person.name for person in PEOPLE[:people]]
    forget, retain = (
        read_examples([question.example() for question in questions("fit", kinds=kinds, groups=groups)], argument)
        for argument, groups, kinds in (
            ("forget", names[:1], ["person_image", "person_text"]),
            ("retain", names[1:], ["person_image", "person_text"]),
        )
    )
    source = _Timed(
        model=model,
        processor=processor,
        adapted=model,
        forget=forget,
        retain=retain,
        split=split_examples(forget, retain, rng=np.random.default_rng(0)),
        augmentation=Augmentation(),
        attacks=(),
        seed=0,
        batch_size=8,
        general=(),
        general_folds=(),
        plain=copy.deepcopy(model),
        inputs={},
        seconds=[],
    )

    def remember(_: torch.nn.Module, __: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        source.inputs.clear()  # the last batch's pictures, if this one has none
        source.inputs.update(inputs)

    model.register_forward_pre_hook(remember, with_kwargs=True)
    start = time.perf_counter()
    fitted = judge_gates(
        source,
        layers=_GATE_LAYERS,
        readouts=READOUTS,
        parameter="ridge",
        values=RIDGES,
        hidden_size=_SMOLLM2.hidden_size,
        alpha=0.05,
        general_alpha=0.001,
        centred=True,
    )
    chosen = choose_gates(fitted.judged, each=False)
    gate_tensors(chosen, fitted, gate="calibrated", hidden_size=_SMOLLM2.hidden_size)
    forward = sum(source.seconds)
    total = time.perf_counter() - start - forward
    return {
        "layers": len(_GATE_LAYERS),
        "examples": len(forget) + len(retain),
        "passes": len(source.seconds),
        "seconds": total,
        "ratio": total / forward,
    }
