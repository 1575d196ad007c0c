"""What the gate will read, read from the base model: readouts of the residual stream, a batch at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.encoding import batches, encode
from ...data.examples import Example
from ...data.processes import ALONE, Processes, spread
from ...tuner.decoder import find_decoder, image_token_ids, takes_pictures
from ...tuner.forward_call import SteeringCall
from ...tuner.readouts import ReadoutSums
from ...tuner.steered_model import steered_by


@dataclass(frozen=True)
class Captured:
    """
    One batch.

    Attributes:
        indices: The examples' positions in what was given to `capture`.
        sums: What the readouts are computed from, by decoder layer.
        has_image: Whether each prompt holds an image, (batch,), bool.
    """

    indices: list[int]
    sums: dict[int, ReadoutSums]
    has_image: Tensor


def capture(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    layers: Sequence[int],
    batch_size: int,
    description: str,
    prepare: Callable[[int], Example] | None = None,
    processes: Processes = ALONE,
) -> Iterator[Captured]:
    """
    Run the model over prompts and yield what the readouts need, batch by batch: nothing of a batch is kept.

    The tensor that is read is the one that is steered: the output of the decoder layer, before any final norm. Other
    adapters on the model act as they will when the gate is used; steering adapters are off. Hooks and modes are taken
    back whatever happens.

    Args:
        model: The model.
        processor: Its processor, or a tokenizer for a text-only model.
        examples: The questions.
        layers: The decoder layers to read, counted from 0.
        batch_size: Examples a forward pass.
        description: What the progress bar says.
        prepare: Gives the example that is shown at a position, of the same length; the default shows it as it is.
        processes: Those among which the batches are shared out; all of them get what was read.
    """
    bar = tqdm(total=len(examples), desc=description, unit="example", disable=not processes.main)
    with bar, reading(model, layers) as read, steering_off(model):

        def captured(indices: list[int]) -> Captured:
            shown = [examples[i] if prepare is None else prepare(i) for i in indices]
            inputs = encode(processor, shown, model.device)
            with torch.no_grad():
                sums = on_cpu(read(inputs))
            return Captured(indices, sums, next(iter(sums.values())).has_image)

        for batch in processes.share(captured, batches(examples, batch_size), of=description):
            yield batch
            bar.update(len(batch.indices))


def layers_that_run(
    model: PreTrainedModel, processor: ProcessorMixin | PreTrainedTokenizerBase, examples: Sequence[Example]
) -> list[int]:
    """
    The decoder layers that run for each kind of these prompts, with and without a picture: Mllama passes by those for
    pictures where there is none.
    """
    kinds = {bool(example.images): example for example in examples}
    layers = find_decoder(model).layers
    ran: list[int] = []
    handles = [
        layer.register_forward_hook(lambda *_, index=index: ran.append(index)) for index, layer in enumerate(layers)
    ]
    try:
        with evaluating(model), steering_off(model), torch.no_grad():
            for example in kinds.values():
                model(**encode(processor, [example], model.device))
    finally:
        for handle in handles:
            handle.remove()
    return [index for index in range(len(layers)) if ran.count(index) >= len(kinds)]


def on_cpu(sums: dict[int, ReadoutSums]) -> dict[int, ReadoutSums]:
    """The same on the CPU, moved there at once: of each device all layers in one transfer."""
    fields = [(layer, name) for layer in sums for name in ReadoutSums.__dataclass_fields__]
    found: dict[tuple[int, str], Tensor] = {}
    for device in {of_layer.prompt.device for of_layer in sums.values()}:
        there = [(layer, name) for layer, name in fields if sums[layer].prompt.device == device]
        values = [getattr(sums[layer], name) for layer, name in there]
        if device.type == "cpu":
            moved = values
        else:
            flat = torch.cat([value.flatten() for value in values]).cpu().split([value.numel() for value in values])
            moved = [part.view(value.shape) for part, value in zip(flat, values)]
        found |= dict(zip(there, moved))
    return {layer: ReadoutSums(*(found[layer, name] for name in ReadoutSums.__dataclass_fields__)) for layer in sums}


Read = Callable[[dict[str, Any]], dict[int, ReadoutSums]]


class _ReadEnough(Exception):
    """Ends a forward pass when the last layer that is wanted has been read."""


@contextmanager
def reading(model: PreTrainedModel, layers: Sequence[int]) -> Iterator[Read]:
    """
    Gives a function that runs the model on inputs and returns what the readouts need, by layer, with gradients where
    they are on. Hooks on these decoder layers and the model's evaluation mode are undone at the end.

    The layers behind the last one of these are not run, unless accelerate or FSDP has hooks on the model, which move
    weights back only at the end of a pass.
    """
    whole = getattr(model, "hf_device_map", None) is None and not spread(model)
    last = max(layers, default=-1) if whole else -1
    call: SteeringCall | None = None
    sums: dict[int, ReadoutSums] = {}
    decoder = find_decoder(model)
    handles = []

    def read(inputs: dict[str, Any]) -> dict[int, ReadoutSums]:
        nonlocal call
        call = SteeringCall.of(
            inputs,
            adapters=(),
            image_ids=image_token_ids(model.config),
            embedding=model.get_input_embeddings(),
            sees=takes_pictures(model.config),
        )
        # Only the residual stream is wanted: no cache, and no logits beyond the last position.
        options: dict[str, Any] = {"use_cache": False}
        if "logits_to_keep" in inspect.signature(model.forward).parameters:
            options["logits_to_keep"] = 1
        with suppress(_ReadEnough):
            model(**inputs, **options)
        found = {layer: sums[layer] for layer in layers}
        sums.clear()
        return found

    try:
        for index in layers:

            def hook(module: nn.Module, args: Any, output: Any, index: int = index) -> None:
                assert call is not None
                assert call.prompt_mask is not None
                assert call.image_mask is not None
                hidden = output[0] if isinstance(output, tuple) else output
                call.check_stream(hidden, index, decoder.hidden_size)
                sums[index] = ReadoutSums.of(hidden, call.prompt_mask, call.image_mask)
                if index == last:
                    raise _ReadEnough

            handles.append(decoder.layers[index].register_forward_hook(hook))
        with evaluating(model):
            yield read
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model is in evaluation mode inside; every module then gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def steering_off(model: nn.Module) -> AbstractContextManager[None]:
    """Steering adapters are off inside; others, such as a LoRA, act on."""
    return steered_by(model, ())
