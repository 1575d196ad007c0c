"""A server that could answer unsteered does not start, or answers with an error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import MistralConfig, MistralForCausalLM

from tests.helpers.vllm_engine import Refused, VllmEngine, arguments_of, needs_vllm


pytestmark = needs_vllm()


def test_the_options_of_the_other_tests_are_taken(engine, asked):
    assert engine.do("refusal", arguments=arguments_of(asked.folder, asked.adapters), set_to={}) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"enable_lora": True}, "LoRA"),
        ({"speculative_config": {"method": "ngram", "num_speculative_tokens": 2}}, "speculative decoding"),
        ({"kv_transfer_config": {"kv_connector": "ExampleConnector", "kv_role": "kv_both"}}, "KV connectors"),
        ({"pipeline_parallel_size": 2, "distributed_executor_backend": "mp"}, "pipeline parallelism"),
        ({"enable_prompt_embeds": True}, "prompts of embeddings"),
        ({"scheduler_cls": "vllm.v1.core.sched.scheduler.Scheduler"}, "a scheduler of your own"),
        ({"runner": "pooling", "convert": "embed"}, "pooling models"),
        ({"worker_extension_cls": ""}, "--worker-extension-cls hf_eraser.serving.worker.SteeringWorker"),
        ({"worker_extension_cls": "builtins.object"}, "--worker-extension-cls"),
    ],
)
def test_options_that_are_not_supported(engine, asked, arguments, said):
    own = arguments_of(asked.folder, asked.adapters)
    assert said in engine.do("refusal", arguments={**own, **arguments}, set_to={})


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("cache_config.kv_offloading_size", 1.0, "offloading of the key-value cache"),
        ("ec_transfer_config", {}, "encoder connectors"),
        ("weight_transfer_config", {}, "weights that change"),
        ("diffusion_config", {}, "diffusion models"),
        ("parallel_config.data_parallel_size", 2, "data parallelism"),
        ("parallel_config.decode_context_parallel_size", 2, "context parallelism"),
        ("parallel_config.prefill_context_parallel_size", 2, "context parallelism"),
        ("parallel_config.enable_dbo", True, "micro-batches"),
        ("parallel_config.ubatch_size", 2, "micro-batches"),
        ("parallel_config.enable_elastic_ep", True, "elastic expert parallelism"),
        ("parallel_config.enable_hc_sp", True, "sequence parallelism"),
        ("model_config.enable_sleep_mode", True, "sleep mode"),
        ("cache_config.kv_sharing_fast_prefill", True, "sharing of the key-value cache"),
    ],
)
def test_options_that_vllm_does_not_have_on_a_cpu(engine, asked, path, value, said):
    found = engine.do("refusal", arguments=arguments_of(asked.folder, asked.adapters), set_to={path: value})
    assert said in found


def test_a_version_that_was_not_tested_unless_told_otherwise(engine, asked):
    own = arguments_of(asked.folder, asked.adapters)
    found = engine.do("refusal", arguments=own, set_to={}, version="0.99.1")
    assert "tested with vLLM 0.32, this is 0.99.1" in found
    assert "hf_eraser.allow_untested" in found
    own = arguments_of(asked.folder, asked.adapters, allow_untested=True)
    assert engine.do("refusal", arguments=own, set_to={}, version="0.99.1") is None


def _changed(key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, key: value}))

    return change


def _not_a_number(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    name = next(name for name in tensors if name.endswith("direction"))
    save_file({**tensors, name: tensors[name] * torch.nan}, folder / "adapter_model.safetensors")


def _half(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _one_missing(folder: Path) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shutil.rmtree, "neither the folder nor the id of a steering adapter"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "holds no adapter_model.safetensors"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "neither the folder nor the id"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "must hold a JSON object"),
        (_half, "not a whole safetensors file"),
        (_one_missing, "missing"),
        (_not_a_number, "holds NaN or infinite values"),
        (_changed("peft_type", "LORA"), "another PEFT method"),
        (_changed("base_model_type", "qwen2"), "made for a 'qwen2' model"),
        (_changed("hidden_size", 128), "hidden_size=128"),
        (_changed("num_hidden_layers", 7), "num_hidden_layers=7"),
        (_changed("gate_layer", 5), "comes before `gate_layer`"),
        (_changed("rank", 2), "has shape"),
        (_changed("positions", "prompt"), 'fit it with `positions="last"`'),
        (_changed("strength", 0.0), "would never steer"),
        (lambda folder: _changed("answer_ids", [5])(folder) or _changed("answer", "No.")(folder), "a fixed answer"),
    ],
)
def test_adapters_that_are_broken_or_not_for_this_server(engine, asked, tmp_path, change, said):
    shutil.copytree(asked.adapters["mean"], tmp_path / "adapter")
    change(tmp_path / "adapter")
    own = arguments_of(asked.folder, {"broken": tmp_path / "adapter"})
    found = engine.do("refusal", arguments=own, set_to={})
    assert found is not None
    assert "Adapter 'broken'" in found
    assert said in found


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"adapter": "x"}, "with ['adapter']"),
        ({"adapters": {}}, "at least one adapter"),
        ({"adapters": {"a": 3}}, "at least one adapter"),
        ({"default": ["nobody"]}, "`hf_eraser.default` must be a list of some of"),
        ({"default": []}, "no request would ever be steered"),
        ({"clients_may_choose": "yes"}, "must be true or false"),
    ],
)
def test_settings_that_are_not_right(engine, asked, settings, said):
    own = arguments_of(asked.folder, asked.adapters, **settings) if "adapters" not in settings else None
    if own is None:
        own = arguments_of(asked.folder, asked.adapters)
        own["additional_config"]["hf_eraser"] = settings
    assert said in engine.do("refusal", arguments=own, set_to={})


def test_requests_that_choose_what_is_not_served(engine, asked):
    tokens = asked.requests[0]["tokens"]
    for given in (["nobody"], "nobody", 3, ["mean", "nobody"]):
        with pytest.raises(Refused, match="must be a list of adapters that are served"):
            engine.ask([{"tokens": tokens, "adapters": given}])
    assert engine.ask([{"tokens": tokens, "adapters": "mean"}])[0]["decided"].keys() == {"mean"}


def test_beam_search(engine, asked):
    with pytest.raises(Refused, match="Beam search is not supported"):
        engine.do("beams", tokens=asked.requests[0]["tokens"])


def test_requests_do_not_choose_where_they_may_not_and_have_all_adapters_by_default(started, asked):
    few = {name: asked.adapters[name] for name in ("mean", "last")}
    engine = started(asked.folder, few, clients_may_choose=False)
    tokens = asked.requests[0]["tokens"]
    for given in ([], ["mean"], "last"):
        with pytest.raises(Refused, match="requests do not choose"):
            engine.ask([{"tokens": tokens, "adapters": given}])
    (found,) = engine.ask([{"tokens": tokens}])
    assert found["decided"].keys() == {"mean", "last"}
    metrics = engine.do("metrics")
    counted = {name: value for name, value in metrics.items() if name.startswith("hf_eraser:decisions_total")}
    assert sum(counted.values()) == 2
    assert {name.split()[1] for name in counted} == {"adapter=mean", "adapter=last"}
    assert metrics["hf_eraser:scores_count adapter=mean"] == 1


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        pytest.param({"VLLM_PLUGINS": "another"}, {}, id="not loaded"),
        pytest.param({}, {"additional_config": {}}, id="without settings"),
    ],
)
def test_a_server_whose_plug_in_saw_no_settings(asked, variables, arguments):
    with pytest.raises(Refused, match="would answer unsteered"):
        VllmEngine(asked.folder, asked.adapters, variables=variables, **arguments)


def test_a_model_with_sliding_windows(asked, tmp_path):
    config = MistralConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=64,
        max_position_embeddings=512,
    )
    MistralForCausalLM(config).save_pretrained(tmp_path / "base")
    shutil.copytree(asked.adapters["mean"], tmp_path / "adapter")
    _changed("base_model_type", "mistral")(tmp_path / "adapter")
    with pytest.raises(Refused, match="need one key-value cache of full attention"):
        VllmEngine(tmp_path / "base", {"mean": tmp_path / "adapter"})
