"""What comes from a repository is data: hostile adapters are refused before a model is touched, and run no code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModel, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration

from hf_eraser import SteeringAdapterConfig
from hf_eraser.hub.base_commit import commit_of
from hf_eraser.hub.base_model import record_base
from tests.conftest import built
from tests.helpers.adapters import PROMPTS, attach, batch_of, fingerprint, logits


DIRECTION, WEIGHT, BOUNDS = "2.steering_direction", "1.steering_gate_weight", "1.steering_gate_bounds"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is what is in the cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    built("llava")[0].save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """A good adapter, from which hostile ones are made."""
    folder = tmp_path_factory.mktemp("good")
    model = AutoModelForImageTextToText.from_pretrained(base_folder)
    attach(model)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy of the good adapter."""
    shutil.copytree(good, tmp_path / "adapter")
    return tmp_path / "adapter"


def in_cache(cache: Path, name: str, commit: str, source: Path) -> None:
    """Put a folder into a Hub cache as what the branch main of a repository holds at a commit."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(commit)


# Attacks


class WritesMarker:
    """What runs when the pickle of this is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def with_values(**values: Any) -> Callable[[Path], None]:
    """Changes values in the configuration."""

    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def with_text(change_text: Callable[[str], str | bytes]) -> Callable[[Path], None]:
    """Changes the text of the configuration."""

    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        text = change_text(path.read_text())
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return change


def with_tensors(change_tensors: Callable[[dict[str, Tensor], Callable[[str], str]], Any]) -> Callable[[Path], None]:
    """Changes tensors, which are found by the ends of their names."""

    def change(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        tensors = load_file(path)
        change_tensors(tensors, lambda end: next(name for name in tensors if name.endswith(end)))
        save_file(tensors, path)

    return change


def with_header(change_header: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes the header of the tensors, and nothing of what it describes."""

    def change(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change_header(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return change


def with_file(
    change_file: Callable[[bytes], bytes], name: str = "adapter_model.safetensors"
) -> Callable[[Path], None]:
    """Changes the bytes of a file."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(change_file((folder / name).read_bytes()))

    return change


def pickle_instead(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(WritesMarker(folder / "ran")))


def sparse_header(folder: Path) -> None:
    with (folder / "adapter_model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 90 << 20))
        file.truncate(100 << 20)


def entry(header: dict[str, Any], end: str = DIRECTION) -> dict[str, Any]:
    return next(value for name, value in header.items() if name.endswith(end))


# Name: what is done to the good adapter, and what the refusal says.
ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle_instead_of_safetensors": (pickle_instead, "holds no adapter_model.safetensors.*pickle"),
    "pickle_with_the_name_of_safetensors": (
        with_file(lambda _: pickle.dumps(WritesMarker(Path("ran")))),
        "claims a header",
    ),
    "config_larger_than_a_mebibyte": (with_values(padding="x" * (1 << 20)), "at most 1048576"),
    "config_with_a_key_twice": (with_text(lambda t: t.replace("{", '{"strength": 0.5,', 1)), "holds 'strength' twice"),
    "config_whose_type_changes": (
        with_text(lambda t: t.replace("{", '{"peft_type": "LORA",', 1)),
        "'peft_type' twice",
    ),
    "config_in_utf_16": (with_text(lambda t: t.encode("utf-16")), "JSON object in UTF-8"),
    "config_in_latin_1": (with_text(lambda t: t.replace("llava", "ä").encode("latin-1")), "JSON object in UTF-8"),
    "config_is_a_list": (with_text(lambda t: f"[{t}]"), "must hold a JSON object, got"),
    "config_is_cut_off": (with_text(lambda t: t[:-20]), "cannot be read"),
    "config_is_empty": (with_text(lambda _: ""), "cannot be read"),
    "config_nested_deeply": (with_text(lambda t: t.replace("1.0", "[" * 50_000 + "]" * 50_000)), "cannot be read"),
    "config_with_a_number_of_5000_digits": (with_text(lambda t: t.replace("1.0", "1" * 5000)), "cannot be read"),
    "strength_nan": (with_values(strength=float("nan")), "holds NaN, which is no JSON number"),
    "strength_overflows": (with_text(lambda t: t.replace("1.0", "1e999")), "`strength` must be"),
    "strength_beyond_float16": (with_values(strength=1e300), "`strength` must be"),
    "strength_is_text": (with_values(strength="1.0"), "`strength` must be"),
    "strength_is_true": (with_values(strength=True), "`strength` must be"),
    "rank_is_true": (with_values(rank=True), "`rank` must be a whole number"),
    "rank_of_a_billion": (with_values(rank=10**9), "`rank` must be at most 256"),
    "rank_is_fractional": (with_values(rank=1.0), "`rank` must be a whole number"),
    "layers_of_lists": (with_values(layers_to_transform=[[2], [4]]), "`layers_to_transform` must be"),
    "layers_of_booleans": (with_values(layers_to_transform=[True, False]), "`layers_to_transform` must be"),
    "layers_is_a_mapping": (with_values(layers_to_transform={"2": 4}), "`layers_to_transform` must be"),
    "layers_repeated_100000_times": (with_values(layers_to_transform=[2] * 100_000), "names a layer twice"),
    "layer_beyond_any_model": (with_values(layers_to_transform=[10**40]), r"names layer 1000\d*\.\.\.\d*0"),
    "layer_numbers_of_a_deep_model": (with_values(layers_to_transform=list(range(1, 100_000))), "the decoder has"),
    "gate_layer_is_true": (with_values(gate_layer=True), "`gate_layer` must be"),
    "readout_is_a_list": (with_values(readout=["last"]), "`readout` must be"),
    "steer_decode_is_text": (with_values(steer_decode="no"), "`steer_decode` must be"),
    "base_name_is_a_list": (with_values(base_model_name_or_path=["a"]), "must be text or None"),
    "task_type_unknown": (with_values(task_type={"import": "os"}), "Invalid task type"),
    "task_type_of_a_classifier": (with_values(task_type="TOKEN_CLS"), "`task_type` must be"),
    "another_width": (with_values(hidden_size=64), "hidden_size=64"),
    "another_depth": (with_values(num_hidden_layers=7), "num_hidden_layers=7"),
    "another_architecture": (with_values(base_model_type="qwen2_5_vl"), "'qwen2_5_vl' model.* 'llava' model"),
    "file_is_empty": (with_file(lambda _: b""), "0 bytes in all"),
    "file_cut_off_in_the_header": (with_file(lambda data: data[:40]), "claims a header"),
    "file_cut_off_in_the_tensors": (with_file(lambda data: data[:-1]), "not a whole safetensors file"),
    "file_with_bytes_behind_the_tensors": (with_file(lambda data: data + b"PK"), "not a whole safetensors file"),
    "header_longer_than_the_file": (with_file(lambda data: struct.pack("<Q", 1 << 62) + data[8:]), "claims a header"),
    "header_of_90_mebibytes": (sparse_header, "claims a header of 94371840 bytes"),
    "header_claims_a_huge_shape": (with_header(lambda h: entry(h).update(shape=[1, 1 << 50])), "not a whole"),
    "header_claims_an_overflowing_shape": (with_header(lambda h: entry(h).update(shape=[1 << 62] * 9)), "not a whole"),
    "header_claims_bytes_beyond_the_file": (
        with_header(lambda h: entry(h).update(data_offsets=[0, 1 << 50])),
        "not a whole safetensors file",
    ),
    "header_lets_tensors_overlap": (
        with_header(lambda h: entry(h, WEIGHT).update(data_offsets=entry(h)["data_offsets"], shape=[1, 160])),
        "not a whole safetensors file",
    ),
    "header_with_a_negative_offset": (with_header(lambda h: entry(h).update(data_offsets=[-4, 4])), "not a whole"),
    "header_is_no_json": (with_file(lambda data: data[:8] + b"[" + data[9:]), "not a whole safetensors file"),
    "tensor_in_float16": (with_tensors(lambda t, n: t.update({n(DIRECTION): t[n(DIRECTION)].half()})), "must be F32"),
    "tensor_in_float64": (with_tensors(lambda t, n: t.update({n(BOUNDS): t[n(BOUNDS)].double()})), "must be F32"),
    "tensor_of_integers": (with_tensors(lambda t, n: t.update({n(WEIGHT): t[n(WEIGHT)].int()})), "must be F32"),
    "tensor_of_another_shape": (with_tensors(lambda t, n: t.update({n(DIRECTION): torch.ones(1, 7)})), r"\(1, 7\)"),
    "tensor_missing": (with_tensors(lambda t, n: t.pop(n(BOUNDS))), "missing .*steering_gate_bounds"),
    "tensor_on_another_layer": (
        with_tensors(lambda t, n: t.update({n(DIRECTION).replace("2.st", "3.st"): t.pop(n(DIRECTION))})),
        "do not match",
    ),
    "tensor_of_the_base_model": (
        with_tensors(lambda t, _: t.update({"base_model.model.lm_head.weight": torch.zeros(2, 2)})),
        "unknown .*lm_head",
    ),
    "tensor_named_out_of_the_folder": (with_tensors(lambda t, _: t.update({"../../x": torch.zeros(1)})), r"\.\./x"),
    "direction_nan": (with_tensors(lambda t, n: t[n(DIRECTION)][0, 3:4].fill_(torch.nan)), "holds NaN or infinite"),
    "direction_infinite": (with_tensors(lambda t, n: t[n(DIRECTION)][0, :1].fill_(-torch.inf)), "holds NaN or inf"),
    "direction_absurdly_large": (with_tensors(lambda t, n: t[n(DIRECTION)][0, :1].fill_(-1e5)), "up to 1e.05"),
    "direction_large_by_strength": (
        lambda f: (with_values(strength=256)(f), with_tensors(lambda t, n: t[n(DIRECTION)].fill_(300))(f)),
        "up to 300, at most 256",
    ),
    "direction_longer_than_any_stream": (with_tensors(lambda t, n: t[n(DIRECTION)].fill_(6e4)), r"norm 7\.59e\+05"),
    "strength_beyond_any_fit": (with_values(strength=300), "`strength` must be"),
    "gate_bounds_too_near_each_other": (
        with_tensors(lambda t, n: t[n(BOUNDS)].copy_(torch.tensor([0.0, 1e-40]))),
        "low < high",
    ),
    "gate_bounds_beyond_any_score": (
        with_tensors(lambda t, n: t[n(BOUNDS)].copy_(torch.tensor([-3e38, 3e38]))),
        "low < high",
    ),
    "gate_weight_absurdly_large": (with_tensors(lambda t, n: t[n(WEIGHT)].fill_(1e33)), "up to 1e.33"),
    "gate_bounds_the_wrong_way_round": (
        with_tensors(lambda t, n: t[n(BOUNDS)].copy_(torch.tensor([2.0, 1.0]))),
        "low < high",
    ),
    "gate_bounds_nan": (with_tensors(lambda t, n: t[n(BOUNDS)].fill_(torch.nan)), "low < high"),
    "gate_bounds_open_for_everything": (
        with_tensors(lambda t, n: t[n(BOUNDS)].copy_(torch.tensor([-torch.inf, 0.0]))),
        "low < high",
    ),
}


# Loading paths


def load_plain(model: Any, folder: Path) -> None:
    model.load_adapter(folder)


def load_plain_from_the_cache(model: Any, folder: Path) -> None:
    cache = folder.parent / "cache"
    in_cache(cache, "org/adapter", "0" * 40, folder)
    model.load_adapter("org/adapter", cache_dir=str(cache), local_files_only=True)


def load_peft(model: Any, folder: Path) -> None:
    PeftModel.from_pretrained(model, folder)


def load_peft_from_the_cache(model: Any, folder: Path) -> None:
    cache = folder.parent / "cache"
    in_cache(cache, "org/adapter", "0" * 40, folder)
    PeftModel.from_pretrained(model, "org/adapter", cache_dir=str(cache), local_files_only=True)


def load_auto(model: Any, folder: Path) -> None:
    AutoModelForImageTextToText.from_pretrained(folder)


PATHS = (load_plain, load_plain_from_the_cache, load_peft, load_peft_from_the_cache, load_auto)


@pytest.fixture(scope="module")
def shared() -> Any:
    """A model that no test may change: each one checks that it did not."""
    return built("llava")[0]


@pytest.fixture
def untouched(shared: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A model that must be as before at the end, and to which nothing may have been attached meanwhile."""
    attached: list[Any] = []
    monkeypatch.setattr("hf_eraser.tuner.model.attach", lambda *arguments: attached.append(arguments))
    state = fingerprint(shared), [type(module) for module in shared.modules()]
    yield shared
    assert not attached
    assert (fingerprint(shared), [type(module) for module in shared.modules()]) == state
    assert not shared._hf_peft_config_loaded
    assert "peft_config" not in vars(shared)
    assert not hasattr(shared, "hf_device_map")


@pytest.mark.filterwarnings("ignore:.*holds keys that this version")
@pytest.mark.parametrize("load", PATHS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_adapter_is_refused_before_the_model_is_touched(
    attack, load, untouched, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    change, message = ATTACKS[attack]
    change(folder)
    with pytest.raises(ValueError, match=message) as caught:
        load(untouched, folder)
    assert "adapter_config.json" in str(caught.value) or "adapter_model" in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    "attack", ["pickle_instead_of_safetensors", "rank_of_a_billion", "tensor_missing", "direction_nan"]
)
def test_peft_model_keeps_its_adapters_when_a_further_one_is_refused(attack, folder, llava):
    model = get_peft_model(llava[0], SteeringAdapterConfig(layers_to_transform=[3]), "first")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ATTACKS[attack][0](folder)
    with pytest.raises(ValueError, match=ATTACKS[attack][1]):
        model.load_adapter(folder, "second")
    assert set(model.peft_config) == {"first"}
    assert model.active_adapters == ["first"]
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not (folder / "ran").exists()


def test_the_pickle_would_have_run_had_it_been_opened(tmp_path):
    pickle.loads(pickle.dumps(WritesMarker(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def test_code_beside_an_adapter_is_refused_on_every_path_and_never_runs(folder, base_folder):
    evil = f"open({str(folder / 'ran')!r}, 'w').close()\nclass Evil: pass\n"
    for name in ("modeling", "configuration", "hf_eraser", "sitecustomize", "__init__"):
        (folder / f"{name}.py").write_text(evil)
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(WritesMarker(folder / "ran")))
    with_values(
        auto_map={"AutoModelForImageTextToText": "modeling.Evil", "AutoConfig": "configuration.Evil"},
        auto_mapping={"base_model_class": "Evil", "parent_library": "modeling"},
        trust_remote_code=True,
        runtime_config={"import": "modeling"},
        __reduce__="modeling.Evil",
    )(folder)
    script = """
import sys, hf_eraser
from peft import AutoPeftModel, PeftModel
from transformers import AutoModelForImageTextToText as Auto
adapter, base = sys.argv[1:]
for load in (
    lambda: Auto.from_pretrained(base).load_adapter(adapter),
    lambda: PeftModel.from_pretrained(Auto.from_pretrained(base), adapter),
    lambda: Auto.from_pretrained(adapter),
    lambda: Auto.from_pretrained(adapter, trust_remote_code=True),
    lambda: AutoPeftModel.from_pretrained(adapter),
):
    try:
        load()
    except ValueError as error:
        print("refused")
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(base_folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONSAFEPATH": "1"},
    )
    assert result.stdout.split() == 5 * ["refused"], result.stdout + result.stderr
    assert not (folder / "ran").exists()


def test_auto_peft_model_loads_the_recorded_base(folder, good, llava, base_folder):
    inputs = batch_of(*llava, PROMPTS)
    with_values(auto_mapping={"base_model_class": "LlavaForConditionalGeneration", "parent_library": "transformers"})(
        folder
    )
    direct = LlavaForConditionalGeneration.from_pretrained(base_folder).eval()
    direct.load_adapter(good)
    assert torch.equal(logits(AutoPeftModel.from_pretrained(folder).eval(), inputs), logits(direct, inputs))


@pytest.mark.parametrize(
    "load", [load_plain, load_plain_from_the_cache, load_peft, load_peft_from_the_cache, load_auto]
)
def test_an_adapter_with_a_pickle_beside_it_is_refused_and_the_pickle_not_opened(load, folder, llava):
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(WritesMarker(folder / "ran")))
    with pytest.raises(ValueError, match=r"adapter_model\.bin"):
        load(llava[0], folder)
    assert not (folder / "ran").exists()


def test_symlinked_files_load(folder, llava, tmp_path):
    (tmp_path / "links").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "links" / name).symlink_to(folder / name)
    llava[0].load_adapter(tmp_path / "links")
    assert llava[0].active_adapters() == ["default"]


@pytest.mark.parametrize("safe", [True, False])
def test_lora_loads_as_before(llava, fresh, tmp_path, safe):
    model, processor = llava
    inputs = batch_of(model, processor, PROMPTS)
    plain, other = fresh(model), fresh(model)
    torch.manual_seed(0)
    lora = get_peft_model(model, LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)).eval()
    lora.save_pretrained(tmp_path, safe_serialization=safe)
    expected = logits(lora, inputs)
    assert sorted(path.suffix for path in tmp_path.glob("adapter_model.*")) == [".safetensors" if safe else ".bin"]
    if safe:  # transformers itself takes a .bin from the Hub only
        plain.load_adapter(tmp_path)
        assert torch.equal(logits(plain, inputs), expected)
    assert torch.equal(logits(PeftModel.from_pretrained(other, tmp_path), inputs), expected)


@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments")
def test_config_of_another_method_may_be_large_and_odd(llava, tmp_path):
    get_peft_model(llava[0], LoraConfig(target_modules=["q_proj"], r=2)).save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "padding": "x" * (1 << 20)}))
    model = built("llava")[0]
    model.load_adapter(tmp_path)
    assert model.active_adapters() == ["default"]


def test_type_spelt_so_that_it_is_overlooked_is_refused(untouched, folder):
    """A configuration too large to be read is looked through for the method's name, which JSON can spell otherwise."""
    with_text(lambda text: text.replace('"STEERING"', '"\\u0053TEERING"'))(folder)
    text = (folder / "adapter_config.json").read_text()
    (folder / "adapter_config.json").write_text(text.replace("{", '{"padding": "' + "x" * (1 << 20) + '",', 1))
    with pytest.raises(ValueError, match="at most 1048576"):
        load_plain(untouched, folder)
    with pytest.raises(ValueError, match="at most 1048576"):
        load_peft(untouched, folder)


class LargeRepository(BaseHTTPRequestHandler):
    """Answers as the Hub does about one adapter whose tensors have 2 GiB; notes what is asked for."""

    config: bytes
    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(f"{self.command} {self.path.rsplit('/', 1)[-1]}")
        self.send_response(200)
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("ETag", '"d"')
        self.send_header("Content-Length", str(len(self.config) if self.path.endswith(".json") else 2 << 30))
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):  # what else it holds, it does not say
            self.send_error(503)
            return
        self.do_HEAD()
        self.wfile.write(self.config)

    def log_message(self, *arguments: Any) -> None:
        pass


def test_tensors_that_are_too_large_are_not_downloaded(untouched, good, tmp_path, monkeypatch):
    monkeypatch.setattr(LargeRepository, "config", (good / "adapter_config.json").read_bytes(), raising=False)
    monkeypatch.setattr(LargeRepository, "asked", [], raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), LargeRepository)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    endpoint = f"http://127.0.0.1:{server.server_port}"  # as HF_ENDPOINT would have it, in a process of its own
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    try:
        with pytest.raises(ValueError, match="has 2147483648 bytes, at most 1073741824 are allowed"):
            untouched.load_adapter("org/large", cache_dir=str(tmp_path))
    finally:
        server.shutdown()
        server.server_close()
    assert "GET adapter_config.json" in LargeRepository.asked
    assert "HEAD adapter_model.safetensors" in LargeRepository.asked
    assert "GET adapter_model.safetensors" not in LargeRepository.asked


# The base model


def commits(tmp_path: Path, base_folder: Path) -> Iterator[tuple[str, Any]]:
    """The base model as two commits of one repository of the Hub, each as it is loaded from the cache."""
    for commit in ("a" * 40, "b" * 40):
        in_cache(tmp_path / "cache", "org/base", commit, base_folder)
        yield (
            commit,
            AutoModelForImageTextToText.from_pretrained(
                "org/base", cache_dir=str(tmp_path / "cache"), local_files_only=True
            ),
        )


def test_commit_and_architecture_of_the_base_model_are_recorded(base_folder, tmp_path):
    for commit, model in commits(tmp_path, base_folder):
        assert commit_of(model) == commit
        attach(model)
        model.save_pretrained(tmp_path / commit)
        saved = json.loads((tmp_path / commit / "adapter_config.json").read_text())
        assert saved["base_model_name_or_path"] == "org/base"
        assert saved["revision"] == commit
        assert saved["base_model_type"] == "llava"
        assert saved["hidden_size"] == model.config.get_text_config().hidden_size


def test_another_revision_warns_once_and_names_both(base_folder, tmp_path, recwarn):
    (first, model), (second, other) = commits(tmp_path, base_folder)
    attach(model)
    model.save_pretrained(tmp_path / "adapter")

    again = built("llava")[0]
    again.load_adapter(tmp_path / "adapter")  # a model of unknown origin
    same = AutoModelForImageTextToText.from_pretrained(
        "org/base", cache_dir=str(tmp_path / "cache"), local_files_only=True, revision=first
    )
    same.load_adapter(tmp_path / "adapter")
    assert not [w for w in recwarn.list if "revision" in str(w.message)]
    for load in (load_plain, load_peft):
        with pytest.warns(UserWarning, match=f"revision {first} .* revision {second}") as caught:
            load(other, tmp_path / "adapter")
        assert len([w for w in caught if "revision" in str(w.message)]) == 1
        if load is load_plain:
            other.delete_adapter("default")


def test_local_base_has_no_commit_and_is_not_compared(base_folder, good, recwarn):
    model = AutoModelForImageTextToText.from_pretrained(base_folder)
    assert commit_of(model) is None
    model.load_adapter(good)
    assert not [w for w in recwarn.list if "revision" in str(w.message)]
    assert json.loads((good / "adapter_config.json").read_text())["revision"] is None


def test_recorded_base_survives_loading_and_saving_again(base_folder, tmp_path):
    (commit, model), *_ = commits(tmp_path, base_folder)
    attach(model)
    model.save_pretrained(tmp_path / "adapter")
    other = built("llava")[0]
    other.load_adapter(tmp_path / "adapter")
    other.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "adapter_config.json").read_text())["revision"] == commit


def test_model_loaded_before_the_import_takes_the_only_commit_in_the_cache(base_folder, tmp_path, monkeypatch):
    (commit, model), *rest = commits(tmp_path, base_folder)
    del model.config._commit_hash
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "cache"), raising=False)
    assert commit_of(model) is None  # there are two
    shutil.rmtree(tmp_path / "cache" / "models--org--base" / "snapshots" / rest[0][0])
    (tmp_path / "cache" / "models--org--base" / "refs" / "main").write_text(commit)
    config = SteeringAdapterConfig()
    record_base(config, model)
    assert config.revision == commit


def test_commit_is_not_written_into_the_model_s_own_configuration(base_folder, tmp_path):
    (_, model), *_ = commits(tmp_path, base_folder)
    model.save_pretrained(tmp_path / "model")
    assert "a" * 40 not in (tmp_path / "model" / "config.json").read_text()
