"""What the top-level model becomes while a steering adapter is attached to one of its layers."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel

from .continuous_batching import check_not_running, follow, is_paged, session_of
from .decoder import Decoder, image_token_ids, takes_pictures
from .fixed_answer import with_fixed_answers
from .forward_call import (
    BASE,
    CALL_ARGUMENT,
    SteeringCall,
    adapter_of_each_row,
    current_call,
    generating,
    handed_down,
    is_generating,
    names_of_rows,
)
from .in_place import restore_type, retype
from .layer import SteeringLayer, detach
from .switching import Acting, Switch, switch_of
from .tensors import SteeringTensors
from .wrapped import base_of


# Modules of PEFT's that hold an adapter's parameters.
_ADAPTED = (BaseTunerLayer, AuxiliaryTrainingWrapper)


class SteeredModel:
    """
    Mixin of the model that a steering adapter is attached to.

    Its `forward` finds out which tokens are the prompt's and hands that down to the decoder layers; its `generate`
    remembers where the prompt ends.

    Attributes:
        steering_decoder_layers: The layers of the text decoder.
        steering_sees: Whether the whole model takes pictures.
        steering_switch: Who calls it, and who switches its adapters.
        steering_frozen: The parameters of the base that took gradients before the first adapter came.
    """

    steering_decoder_layers: tuple[nn.Module, ...]
    steering_sees: bool
    steering_switch: Switch
    steering_frozen: tuple[str, ...]

    def _steered_forward(
        self, forward: Callable[..., Any], parameters: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        switch = vars(self).get("steering_switch")
        # A part of a model that has made the call; or all adapters were deleted since this was looked up.
        if CALL_ARGUMENT in kwargs or current_call() is not None or switch is None:
            return forward(*args, **kwargs)
        with switch.call():
            if not isinstance(self, SteeredModel):  # nor any more: another thread deleted the last adapter meanwhile
                return forward(*args, **kwargs)
            return self._steered_call(forward, parameters, args, kwargs)

    def _steered_call(
        self, forward: Callable[..., Any], parameters: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        names, lengths = names_of_rows(kwargs.pop("adapter_names", None)), kwargs.pop("prompt_lengths", None)
        if names is not None and self.training:  # type: ignore[attr-defined]
            raise ValueError("`adapter_names` cannot be given in training mode: call `model.eval()` first.")
        session = session_of(kwargs["cache"]) if is_paged(kwargs) else None
        acting = self.steering_switch.acting if session is None else session.acting
        adapters = acting_adapters(self, names, acting)  # type: ignore[arg-type]
        if not adapters:
            if session is not None:
                session.left_alone(kwargs["cache"])
            active = any(layer.acting_adapters() for layer in steering_layers(self))  # type: ignore[arg-type]
            # All rows go without, or the requests were begun where adapters are off: the layers are told.
            with self.steering_switch.acting_inside(Acting(())) if active else nullcontext():
                return forward(*args, **kwargs)
        kwargs = {**dict(zip(parameters, args)), **kwargs}
        of_model: dict[str, Any] = {
            "adapters": adapters,
            "image_ids": image_token_ids(self.config),  # type: ignore[attr-defined]
            "embedding": self.get_input_embeddings(),  # type: ignore[attr-defined]
            "sees": self.steering_sees,
            "strength": 1.0 if acting is None else acting.strength,
        }
        if session is None:
            call = SteeringCall.of(kwargs, names=names, lengths=lengths, **of_model)
        else:
            check_servable(self, adapters)  # type: ignore[arg-type]
            paged = session.batch(kwargs, adapters, kwargs["input_ids"])
            call = SteeringCall.of_requests(kwargs, paged, **of_model)
        with handed_down(call):
            outputs = forward(**kwargs, **{CALL_ARGUMENT: call})
        check_ran(self, call)  # type: ignore[arg-type]
        call.keep(kwargs, outputs)
        answers = fixed_answers(self, call.adapters)  # type: ignore[arg-type]
        return with_fixed_answers(outputs, call, answers, kwargs, self._loss_of) if answers else outputs

    def _loss_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        vocabulary = self.config.get_text_config(decoder=True).vocab_size  # type: ignore[attr-defined]
        return self.loss_function(logits=logits, labels=labels, vocab_size=vocabulary)  # type: ignore[attr-defined]

    def generate(self, *args: Any, adapter_names: Sequence[str] | None = None, **kwargs: Any) -> Any:
        """
        As the model's own `generate`; the gates are decided by the prompt that is given here.

        Args:
            args, kwargs: As the model's own.
            adapter_names: The steering adapter of each row, or `"__base__"`; the default are the active adapters.
        """
        switch = vars(self).get("steering_switch")
        with nullcontext() if switch is None else switch.call():
            if not isinstance(self, SteeredModel):  # another thread deleted the last adapter meanwhile
                return self.generate(*args, **kwargs)
            return self._steered_generate(args, kwargs, adapter_names)

    def _steered_generate(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], adapter_names: Sequence[str] | None
    ) -> Any:
        # Models differ in what their first parameter is.
        own = super().generate  # type: ignore[misc]
        given = {**dict(zip(inspect.signature(own).parameters, args)), **kwargs}
        tokens = (given.get(name) for name in ("input_ids", "inputs", "inputs_embeds"))
        prompt = next((value for value in tokens if value is not None), None)
        # Without any prompt, `generate` begins with the single token bos.
        length = 1 if prompt is None else prompt.shape[1]
        mask = given.get("attention_mask")
        if prompt is not None and mask is None:
            mask = self._padding_of(prompt, given)
        # On a PeftModel the names have come already.
        with generating(length, mask), adapter_of_each_row(names_of_rows(adapter_names)):
            return own(*args, **kwargs)

    def _padding_of(self, prompt: Tensor, options: Mapping[str, Any]) -> Tensor | None:
        """The mask that `generate` makes where it is given none: padding is the pad token, if that ends no text."""
        config = options.get("generation_config") or self.generation_config  # type: ignore[attr-defined]
        pad, ends = (options.get(name, getattr(config, name)) for name in ("pad_token_id", "eos_token_id"))
        ends = ends if isinstance(ends, list) else [ends]
        if pad is None or pad in ends or prompt.ndim != 2:
            return None
        return prompt != pad

    def init_continuous_batching(self, *args: Any, **kwargs: Any) -> Any:
        """As the model's own, which `generate_batch` uses as well; the manager's requests are steered."""
        acting = self.steering_switch.acting
        check_servable(self, acting_adapters(self, acting=acting))  # type: ignore[arg-type]
        manager = super().init_continuous_batching(*args, **kwargs)  # type: ignore[misc]
        # Not the model itself, which may hold the manager.
        model = weakref.ref(self)
        # The manager's thread knows nothing of the context that it was begun in.
        return follow(manager, lambda: read_layers(model(), acting), acting)  # type: ignore[arg-type]

    def active_adapters(self) -> list[str]:
        """The active adapters, of every method: each acts where it has tensors."""
        layers = (module for module in self.modules() if isinstance(module, BaseTunerLayer))  # type: ignore[attr-defined]
        return list(dict.fromkeys(name for layer in layers for name in layer.active_adapters))

    def disable_adapters(self) -> None:
        """
        Switch all adapters off, for whoever calls the model, until `enable_adapters()`. Called by a `generate`,
        steering ones stay on.
        """
        if is_generating():
            self._switch_others(on=False)
            return
        with self.steering_switch.switching():
            super().disable_adapters()  # type: ignore[misc]

    def enable_adapters(self) -> None:
        """Switch all adapters on, also those that `disable_adapter()` switched off here."""
        if is_generating():
            self._switch_others(on=True)
            return
        with self.steering_switch.switching():
            super().enable_adapters()  # type: ignore[misc]
        self.steering_switch.set_acting(None)

    def set_adapter(self, adapter_name: list[str] | str, *args: Any, **kwargs: Any) -> None:
        """As the model's own: these adapters are the active ones, from the next call on."""
        with self.steering_switch.switching():
            super().set_adapter(adapter_name, *args, **kwargs)  # type: ignore[misc]

    def _switch_others(self, *, on: bool) -> None:
        # A model with a LoRA for one kind of input, as granite_speech, takes all adapters for it in its `generate`.
        for module in self.modules():  # type: ignore[attr-defined]
            if isinstance(module, BaseTunerLayer) and not isinstance(module, SteeringTensors):
                module.enable_adapters(on)

    def disable_adapter(self) -> DisabledAdapters:
        """
        Switch all adapters off: the base model is back, bit for bit.

        As a statement, until `enable_adapters()`; in `with model.disable_adapter(): ...`, until the block ends. It
        holds for this thread, more exactly for this `contextvars` context: what other threads ask meanwhile is steered
        as before, and so is a thread that is begun inside, unless it runs in a copy of the context
        (`threading.Thread(target=contextvars.copy_context().run, args=(model.generate,), ...)`). For the whole model
        there is `disable_adapters()`.
        """
        return DisabledAdapters(self)  # type: ignore[arg-type]

    def delete_adapter(self, adapter_names: list[str] | str) -> None:
        """Delete adapters by name, steering or other; with the last steering adapter the model is as it was before."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        with self.steering_switch.switching():
            steering = [name for name in names if name in attached_adapters(self)]  # type: ignore[arg-type]
            super().delete_adapter(names)  # type: ignore[misc]
            for name in steering:
                remove_adapter(self, name)  # type: ignore[arg-type]


class DisabledAdapters:
    """
    Adapters are off in this context from the creation of this object on; leaving its `with` block restores what was
    before. Those of other methods, which know of no context, are off for the whole model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._switch = switch_of(model)
        self._before = None if self._switch is None else self._switch.acting
        if self._switch is not None:
            self._switch.set_acting(Acting(()))
        others = (part for part in model.modules() if isinstance(part, BaseTunerLayer))
        self._others = [part for part in others if not isinstance(part, SteeringTensors) and not part.disable_adapters]
        for part in self._others:
            part.enable_adapters(False)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._switch is not None:
            self._switch.set_acting(self._before)
        for part in self._others:
            part.enable_adapters(True)


@contextmanager
def steered_by(model: Any, adapters: Sequence[str], *, strength: float = 1.0) -> Iterator[None]:
    """
    Just these steering adapters act inside, whatever is active or switched off; in this context, as for
    `disable_adapter`.

    Args:
        model: The model, plain or a `PeftModel`.
        adapters: Their names; none for the model without steering.
        strength: What each one's own strength is multiplied by, at least 0.

    Raises:
        ValueError: If one is not attached.
    """
    switch = switch_of(model)
    base = base_of(model)
    attached = attached_adapters(base)
    unknown = sorted(set(adapters) - set(attached))
    if unknown:
        raise ValueError(f"`adapters` names {unknown}, the steering adapters are {attached}.")
    with nullcontext() if switch is None else switch.acting_inside(Acting(tuple(adapters), strength)):
        yield


def make_steered(model: PreTrainedModel, decoder: Decoder, mixin: type[SteeredModel] = SteeredModel) -> None:
    """
    Make `model` a `SteeredModel`, by way of `mixin`, if it is none yet; and so the parts of it that generate by
    themselves, which the `generate` of some models calls in place of the model's `forward`.
    """
    if isinstance(model, SteeredModel):
        return
    check_not_running(model)
    switch = Switch()
    own = [part for part in model.modules() if isinstance(part, PreTrainedModel) and part.can_generate()]
    for part in [model, *(part for part in own if part is not model and decoder.layers[0] in part.modules())]:
        retype(part, mixin if part is model else SteeredModel)
        setattr(part, "steering_decoder_layers", decoder.layers)  # noqa: B010  mypy sees the class before
        setattr(part, "steering_sees", takes_pictures(model.config))  # noqa: B010
        setattr(part, "steering_switch", switch)  # noqa: B010


def freeze_base(model: PreTrainedModel) -> None:
    """
    Let no base parameter take gradients while steering adapters are attached, as PEFT does for every method: trained
    on, it would not be the base model that is back when they are off. Where another adapter is trained, what takes
    gradients is left to that one.
    """
    others = [part for part in model.modules() if isinstance(part, _ADAPTED) and not isinstance(part, SteeringTensors)]
    if any(parameter.requires_grad for part in others for parameter in part.parameters()):
        return
    frozen = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    model.steering_frozen = (*vars(model).get("steering_frozen", ()), *frozen)  # type: ignore[assignment]


def restore_model(model: nn.Module) -> None:
    """Give a `SteeredModel`, and its parts, their own classes back; what took gradients before takes them again."""
    frozen = vars(model).pop("steering_frozen", ())
    if not any(isinstance(part, _ADAPTED) for part in model.modules()):  # such a one has the base frozen as well
        for name in frozen:
            model.get_parameter(name).requires_grad_(True)
    for part in list(model.modules()):
        if isinstance(part, SteeredModel):
            del part.steering_decoder_layers, part.steering_sees, part.steering_switch
            restore_type(part)


def steering_layers(model: nn.Module) -> list[SteeringLayer]:
    """The decoder layers of `model` that hold steering tensors, first to last."""
    # Asked in every forward pass: a walk over all modules takes longer than the steering itself.
    layers = vars(model).get("steering_decoder_layers", ())
    return [layer for layer in layers if isinstance(layer, SteeringLayer)]


def attached_adapters(model: nn.Module) -> list[str]:
    """The names of the steering adapters that are attached to `model`."""
    return sorted({name for layer in steering_layers(model) for name in layer.steering_configs})


def acting_adapters(
    model: nn.Module, of_rows: Sequence[str] | None = None, acting: Acting | None = None
) -> tuple[str, ...]:
    """
    The names of the steering adapters that act: those that are active and switched on, in the order of activation.

    Args:
        model: The model.
        of_rows: The adapter of each row, or `BASE`; these then act in place of the active ones.
        acting: What acts in place of the active ones in the context of the call.

    Raises:
        ValueError: If there are none of these, one is not attached, or adapters are merged, which then cannot be told
            apart.
    """
    layers = steering_layers(model)
    if of_rows is None and acting is not None:
        return tuple(name for name in acting.adapters if any(name in layer.steering_configs for layer in layers))
    if of_rows is None:
        return tuple(dict.fromkeys(name for layer in layers for name in layer.acting_adapters()))
    if not of_rows:
        raise ValueError("`adapter_names` must have a name for each row: got none.")
    attached = attached_adapters(model)
    unknown = sorted(set(of_rows) - {*attached, BASE})
    if unknown:
        raise ValueError(
            f"`adapter_names` names {unknown}, the steering adapters are {attached}, and {BASE!r} for none."
        )
    if any(layer.steering_direction.merged_adapters for layer in layers):
        raise ValueError("`adapter_names` cannot be given while adapters are merged: call `unmerge_adapter` first.")
    off = all(layer.steering_direction.disable_adapters for layer in layers) if acting is None else not acting.adapters
    if off:
        return ()
    return tuple(name for name in dict.fromkeys(of_rows) if name != BASE)


def read_layers(model: nn.Module, acting: Acting | None = None) -> set[int]:
    """The layers that the gates of the acting adapters read."""
    names = acting_adapters(model, acting=acting)
    return {
        layer.steering_index
        for layer in steering_layers(model)
        if any(name in layer.steering_gate_weight for name in names)
    }


def check_ran(model: nn.Module, call: SteeringCall) -> None:
    """
    Raises:
        RuntimeError: If a call passed by layers that an adapter reads or steers, so that it could not act.
    """
    left_out = [
        layer.steering_index
        for layer in steering_layers(model)
        if layer.steering_index not in call.ran and any(name in layer.steering_configs for name in call.adapters)
    ]
    if left_out:
        raise RuntimeError(
            f"This input does not run layers {left_out} of the decoder, which {', '.join(call.adapters)} needs, so it "
            "would not be steered: fit on layers that each input runs (`layers`, `gate_layer`)."
        )


def check_servable(model: nn.Module, adapters: Sequence[str]) -> None:
    """
    Raises:
        ValueError: If an adapter steers the whole prompt: its gate is known when most of the prompt has passed, and
            blocks of it are shared with other requests.
    """
    configs = {name: config for layer in steering_layers(model) for name, config in layer.steering_configs.items()}
    whole = [name for name in adapters if configs[name].positions != "last"]
    if whole:
        raise ValueError(
            f"Continuous batching works with adapters that steer the last prompt token; {whole} steer the whole "
            'prompt. Fit with `positions="last"`, or call `generate`.'
        )


def fixed_answers(model: nn.Module, adapters: Sequence[str]) -> dict[str, list[int]]:
    """The tokens of the fixed answers of those of these adapters that have one, by name."""
    found: dict[str, list[int]] = {}
    for layer in steering_layers(model):
        for name, config in layer.steering_configs.items():
            if config.answer_ids is not None and name in adapters:
                found[name] = config.answer_ids
    return {name: found[name] for name in adapters if name in found}


def remove_adapter(model: PreTrainedModel, adapter_name: str) -> None:
    """Take a steering adapter out of a model; with the last one, model and layers get their own classes back."""
    for layer in steering_layers(model):
        detach(layer, adapter_name)
    remaining = attached_adapters(model)
    if not remaining:
        restore_model(model)
    elif not any(name in remaining for name in steering_layers(model)[0].steering_direction.active_adapters):
        # As PEFT does for other methods: an adapter that stays becomes the active one.
        for module in model.modules():
            if isinstance(module, SteeringTensors):
                module.set_adapter(remaining[0])
