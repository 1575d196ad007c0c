"""The tuner: attaches steering adapters to a model through PEFT's injection machinery."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor, nn

from .adapter_name import check_adapter_name
from .config import SteeringAdapterConfig
from .decoder import Decoder, find_decoder
from .forward_call import adapter_of_each_row
from .layer import attach
from .layout import TENSOR_KINDS, adapter_layout, tensor_shapes
from .printable import printable
from .steered_model import SteeredModel, freeze_base, make_steered, remove_adapter, restore_model, steering_layers
from .switching import switch_of, switching
from .tensor_values import check_values
from .tensors import SteeringTensors
from .weighted_adapter import combine
from .wrapped import base_of


def alone(method: Callable[..., Any]) -> Callable[..., Any]:
    """Around a method of the tuner that switches adapters: no call of the model runs meanwhile."""

    @functools.wraps(method)
    def switched(self: Any, *args: Any, **kwargs: Any) -> Any:
        with switching(self.model):
            return method(self, *args, **kwargs)

    return switched


class SteeringModel(BaseTuner):
    """
    Attaches steering adapters to the text decoder of a transformers model.

    No module is wrapped and no parameter renamed: the steered decoder layers, and the model itself, are given a
    subclass of their own class, in place. No base parameter or buffer is ever written.

    Args:
        model (`transformers.PreTrainedModel`): The model, multimodal or text-only.
        peft_config (`SteeringAdapterConfig`): The adapter's configuration.
        adapter_name (`str`): The adapter's name.

    Example:

        >>> from peft import get_peft_model
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> from hf_eraser import SteeringAdapterConfig
        >>> base = LlamaForCausalLM(
        ...     LlamaConfig(
        ...         vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2
        ...     )
        ... )
        >>> model = get_peft_model(base, SteeringAdapterConfig(layers_to_transform=[1, 2], gate_layer=0))
        >>> [name for name, _ in model.named_parameters() if "steering_direction" in name]
        ['base_model.model.model.layers.1.steering_direction.default', \
'base_model.model.model.layers.2.steering_direction.default']
        >>> base is model.unload()
        True
    """

    prefix = "steering_"
    tuner_layer_cls = SteeringTensors
    target_module_mapping: dict[str, list[str]] = {}

    # What the top-level model becomes. Registration puts in one that saves and publishes as well.
    mixin: type[SteeredModel] = SteeredModel

    _decoder: Decoder

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        """
        Attach the adapter `adapter_name`, whose configuration is in `self.peft_config`. It is fresh: it never steers.

        Raises:
            TypeError: If the model is not a transformers model, or the configuration not a steering adapter's.
            ValueError: If the adapter does not fit the model. The model is then left as it was.
        """
        with switching(model):
            self._inject(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage)

    def _inject(
        self, model: nn.Module, adapter_name: str, autocast_adapter_dtype: bool, low_cpu_mem_usage: bool
    ) -> None:
        requires_grad = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        attached = False
        try:
            self._decoder = find_decoder(model)
            check_adapter_name(adapter_name, self._decoder.names)
            self.peft_config[adapter_name] = self._resolved(model, self.peft_config[adapter_name])
            make_steered(model, self._decoder, self.mixin)  # type: ignore[arg-type]
            super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, None)
            attached = True
        except BaseException:
            self.peft_config.pop(adapter_name, None)
            remove_adapter(model, adapter_name)  # type: ignore[arg-type]
            raise
        finally:
            # PEFT freezes all but this adapter, which is not trained; a LoRA beside it may be.
            for parameter, required in requires_grad:
                parameter.requires_grad_(required)
            if attached:
                freeze_base(model)  # type: ignore[arg-type]

    @alone
    def set_adapter(self, adapter_name: str | list[str], *args: Any, **kwargs: Any) -> None:
        """As PEFT's: these adapters are the active ones, from the next call on."""
        super().set_adapter(adapter_name, *args, **kwargs)

    @alone
    def enable_adapter_layers(self) -> None:
        """Switch all adapters on, also those that `disable_adapter()` switched off here."""
        super().enable_adapter_layers()
        if (switch := switch_of(self.model)) is not None:
            switch.set_acting(None)

    @alone
    def disable_adapter_layers(self) -> None:
        """Switch all adapters off, for whoever calls the model."""
        super().disable_adapter_layers()

    @alone
    def unmerge_adapter(self) -> None:
        """Steer with each adapter by itself again."""
        super().unmerge_adapter()

    def _resolved(self, model: nn.Module, config: PeftConfig) -> SteeringAdapterConfig:
        if not isinstance(config, SteeringAdapterConfig):
            raise TypeError(f"`peft_config` must be a SteeringAdapterConfig, got {type(config).__name__}.")
        adapter_layout(self._decoder.names, self._decoder.hidden_size, config)  # refuses what would take gigabytes
        config = config.resolved(hidden_size=self._decoder.hidden_size, num_hidden_layers=len(self._decoder.layers))
        if config.answer_ids is not None:
            last, vocabulary = max(config.answer_ids), model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
            if last >= vocabulary:
                raise ValueError(
                    f"`answer_ids` names token {last}, the base model has {vocabulary}. Load the adapter into the "
                    f"model that it was fitted on ({printable(config.base_model_name_or_path or 'not recorded')})."
                )
        # There is nothing to train in a steering adapter.
        config.inference_mode = True
        return config

    def _check_target_module_exists(self, peft_config: PeftConfig, key: str) -> bool:  # type: ignore[override]
        index = self._index(key)
        return index is not None and bool(tensor_shapes(peft_config, index))  # type: ignore[arg-type]

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        index = self._index(current_key)
        assert index is not None
        assert isinstance(peft_config, SteeringAdapterConfig)
        attach(target, index, adapter_name, peft_config, self.model.steering_switch)

    def _index(self, key: str) -> int | None:
        return self._decoder.names.index(key) if key in self._decoder.names else None

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict[str, Any]) -> PeftConfig:
        return peft_config

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        """Steering tensors are float32 always."""

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls,
        model: nn.Module,
        config: PeftConfig,
        adapter_name: str,
        state_dict: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        remapped = super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)
        try:
            check_tensors(model, adapter_name, remapped)
        except ValueError:
            take_out(model, adapter_name)
            raise
        return remapped

    @contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """What a `PeftModel` does with `adapter_names`, in `forward` and in `generate`."""
        with adapter_of_each_row(kwargs.get("adapter_names")):
            yield

    @alone
    def add_weighted_adapter(self, adapters: Sequence[str], weights: Sequence[float], adapter_name: str) -> None:
        """
        Add an adapter that steers as several do together, each with its own gate; it is not made active.

        Args:
            adapters: The adapters. Their gates must be read and used in the same way.
            weights: What each one's strength is multiplied by, each at least 0.
            adapter_name: The new adapter's name. Its rank is the sum of theirs.

        Raises:
            ValueError: If an adapter does not exist, a weight cannot be used, the name is taken, or the adapters
                cannot be expressed as one.
        """
        if adapter_name in self.peft_config:
            raise ValueError(f"`adapter_name`={adapter_name!r} is taken, there are {sorted(self.peft_config)}.")
        unknown = sorted(set(adapters) - set(self.peft_config))
        if unknown or not adapters:
            raise ValueError(f"`adapters` must name adapters of {sorted(self.peft_config)}, got {list(adapters)}.")
        parts = [(self.peft_config[name], adapter_parts(self.model, name)) for name in adapters]
        config, tensors = combine(parts, weights)
        self.peft_config[adapter_name] = config
        self.inject_adapter(self.model, adapter_name)
        with torch.no_grad():
            for key, parameter in adapter_parts(self.model, adapter_name).items():
                parameter.copy_(tensors[key])

    @alone
    def delete_adapter(self, adapter_name: str) -> None:
        """
        Delete an adapter. With the last one, model and layers get their own classes back.

        Raises:
            ValueError: If there is no such adapter, or it is merged.
        """
        if adapter_name not in self.peft_config:
            raise ValueError(f"Adapter {adapter_name} does not exist")
        if any(adapter_name in layer.steering_direction.merged_adapters for layer in steering_layers(self.model)):
            raise ValueError(
                f"Cannot delete adapter {adapter_name!r} while it is merged: call `unmerge_adapter` first."
            )
        del self.peft_config[adapter_name]
        remove_adapter(self.model, adapter_name)
        layers = steering_layers(self.model)
        self.active_adapter = layers[0].steering_direction.active_adapters if layers else []

    @alone
    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """
        Fold adapters into one steering operation a layer: the same result, faster. No base weight is written.

        Args:
            adapter_names: The adapters to fold; the default, `None`, means the active ones.
            safe_merge: Makes no difference: there is no weight that a merge could break.

        Raises:
            ValueError: If an adapter does not exist.
        """
        unknown = sorted(set(adapter_names or []) - set(self.peft_config))
        if unknown:
            raise ValueError(f"`adapter_names` names {unknown}, the adapters are {sorted(self.peft_config)}.")
        layers = steering_layers(self.model)
        merged = layers[0].steering_direction.merged_adapters if layers else []
        if merged and set(self.active_adapters if adapter_names is None else adapter_names) <= set(merged):
            warnings.warn(f"Adapters {merged} are already merged: nothing to do.", stacklevel=2)
            return
        for layer in layers:
            for kind in TENSOR_KINDS:
                getattr(layer, kind).merge(adapter_names=adapter_names)

    @alone
    def unload(self) -> nn.Module:
        """The base model: the very module objects, each with the class that it had before."""
        for name in list(self.peft_config):
            remove_adapter(self.model, name)
        restore_model(self.model)
        if "peft_config" in vars(self.model):
            del self.model.peft_config
        return self.model

    def merge_and_unload(
        self, progressbar: bool = False, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> nn.Module:
        """
        Raises:
            NotImplementedError: Always. Steering depends on the input, so no weights can hold it, and the model that
                this would return answers everything again.
        """
        raise NotImplementedError(
            "A steering adapter cannot be merged into weights: what it adds depends on the input. Call `unload()` for "
            "the base model, which does not forget, or `merge_adapter()` to fold the active adapters into one "
            "operation a layer while they stay attached."
        )


def adapter_parts(model: nn.Module, adapter_name: str) -> dict[tuple[int, str], Tensor]:
    """The steering tensors of an attached adapter, by layer and kind."""
    return {
        (layer.steering_index, kind): getattr(layer, kind)[adapter_name]
        for layer in steering_layers(model)
        for kind in TENSOR_KINDS
        if adapter_name in getattr(layer, kind)
    }


def expected_tensors(model: nn.Module, adapter_name: str) -> dict[str, Tensor]:
    """The steering tensors of an attached adapter, by their name in `model.state_dict()`."""
    return {
        f"{module_name}.{adapter_name}": module[adapter_name]
        for module_name, module in model.named_modules()
        if isinstance(module, SteeringTensors) and adapter_name in module
    }


def check_tensors(model: nn.Module, adapter_name: str, tensors: dict[str, Tensor]) -> None:
    """
    Check that `tensors`, by their names in the model, are what the attached adapter needs.

    Raises:
        ValueError: If one is missing or unknown, has another shape, or holds what cannot be used.
    """
    expected = expected_tensors(model, adapter_name)
    config: Any = model.peft_config[adapter_name]  # type: ignore[index]
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or unknown:
        raise ValueError(
            f"The tensors of adapter {adapter_name!r} do not match its configuration: missing {missing or 'none'}, "
            f"unknown {unknown or 'none'}."
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"Tensor {name!r} has shape {tuple(tensor.shape)}, the adapter's configuration and this model need "
                f"{tuple(expected[name].shape)}. The adapter was made for another base model, or changed since."
            )
        if tensor.is_meta:
            continue
        check_values(name, name.split(".")[-2], tensor, config.strength)


def take_out(model: Any, adapter_name: str) -> None:
    """Undo a failed loading: `model`, plain or a PeftModel, is as it was before the adapter came."""
    base = base_of(model)
    configs = getattr(model, "peft_config", {})
    configs.pop(adapter_name, None)
    remove_adapter(base, adapter_name)
    if not configs:
        vars(base).pop("peft_config", None)
