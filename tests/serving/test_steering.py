"""What acts in a worker, without vLLM: sums over pieces and shared prefixes, and that what would not steer raises."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hf_eraser.serving.adapters import ServedAdapter
from hf_eraser.serving.block_sums import BlockSums
from hf_eraser.serving.layers import steer
from hf_eraser.serving.requests import pictures_of
from hf_eraser.serving.server import arguments_of, named_adapters
from hf_eraser.serving.settings import Settings
from hf_eraser.serving.steering import Steering
from hf_eraser.tuner.fields import StoredConfig
from hf_eraser.tuner.gate import gate_values, scores_of
from hf_eraser.tuner.layout import tensor_shapes
from hf_eraser.tuner.readouts import ReadoutSums


WIDTH, BLOCK = 6, 4


def _adapter(**config: Any) -> ServedAdapter:
    given = {"layers_to_transform": [1], "gate_layer": 0, "positions": "last", "steer_decode": False, **config}
    resolved = StoredConfig(**given).resolved(hidden_size=WIDTH, num_hidden_layers=2)
    tensors: dict[int, dict[str, Tensor]] = {}
    for layer in range(2):
        for kind, shape in tensor_shapes(resolved, layer).items():
            value = torch.tensor([0.0, 1.0]).expand(shape) if kind == "steering_gate_bounds" else torch.randn(shape)
            tensors.setdefault(layer, {})[kind] = value
    return ServedAdapter(resolved, tensors, None, "")  # type: ignore[arg-type]


def _steering(adapter: ServedAdapter, observe: Any = lambda *_: None) -> Steering:
    steering = Steering({"a": adapter}, lambda _: ("a",), width=WIDTH, device=torch.device("cpu"), observe=observe)
    steering.begin(BLOCK)
    return steering


def _new(name: str, length: int, blocks: list[int], computed: int = 0, pictures: Any = ()) -> SimpleNamespace:
    return SimpleNamespace(
        req_id=name,
        prompt_token_ids=list(range(length)),
        mm_features=list(pictures),
        sampling_params=None,
        block_ids=(blocks,),
        num_computed_tokens=computed,
    )


def _step(new: Any = (), cached: Any = (), scheduled: Any = (), finished: Any = ()) -> SimpleNamespace:
    """A step, as vLLM's scheduler describes one; of cached requests the name and how many tokens are computed."""
    names = [name for name, _ in cached]
    return SimpleNamespace(
        finished_req_ids=set(finished),
        scheduled_new_reqs=list(new),
        scheduled_cached_reqs=SimpleNamespace(
            req_ids=names,
            resumed_req_ids=set(),
            new_block_ids=[None] * len(names),
            num_computed_tokens=[computed for _, computed in cached],
        ),
        num_scheduled_tokens=dict(scheduled),
        total_num_scheduled_tokens=sum(dict(scheduled).values()),
    )


def _pass(steering: Steering, step: SimpleNamespace, streams: dict[str, Tensor]) -> Tensor:
    """Run both layers over the batch of a step, whose streams are these; returns the second one's output."""
    with steering.step(step):
        steering.arrange(list(streams))
        hidden = torch.cat(list(streams.values()))
        for layer in range(2):
            hidden = hidden.clone()
            steer(hidden, None, layer)
    return hidden


def _picture(offset: int, length: int, mask: Tensor | None = None, kind: str = "image") -> SimpleNamespace:
    place = SimpleNamespace(offset=offset, length=length, is_embed=mask)
    return SimpleNamespace(modality=kind, mm_position=place)


@given(st.data())
def test_prompts_in_pieces_and_behind_shared_prefixes_are_read_as_whole_ones(data):
    readout = data.draw(st.sampled_from(["prompt", "image", "text", "joined", "last"]))
    length, shared = data.draw(st.integers(2, 30)), data.draw(st.integers(0, 7))
    shared = min(shared, (length - 1) // BLOCK)
    begin = data.draw(st.integers(0, length - 1))
    features = [_picture(begin, data.draw(st.integers(1, length - begin)))] if data.draw(st.booleans()) else []
    torch.manual_seed(length)
    adapter, found = _adapter(readout=readout), []
    steering = _steering(adapter, lambda *said: found.append(said))
    stream = torch.randn(length, WIDTH)
    for name, computed in (("one", 0), ("other", shared * BLOCK)):
        first = True
        while computed < length:
            count = data.draw(st.integers(1, length - computed))
            blocks = list(range(shared)) + [100 * (name == "other") + n for n in range(shared, length // BLOCK + 1)]
            step = _step(
                new=[_new(name, length, blocks, computed, features)] if first else (),
                cached=() if first else [(name, computed)],
                scheduled=[(name, count)],
            )
            output = _pass(steering, step, {name: stream[computed : computed + count]})
            first, computed = False, computed + count
        image = torch.from_numpy(pictures_of(length, features))[None]
        sums = ReadoutSums.of(stream[None], torch.ones(1, length, dtype=torch.bool), image)
        score = scores_of(sums, adapter.config.readout, None, adapter.tensors[0]["steering_gate_weight"])
        gate = gate_values(score, sums.has_image, adapter.tensors[0]["steering_gate_bounds"], "calibrated")
        scores = found.pop()[3]
        torch.testing.assert_close(scores, score[0], rtol=1e-4, atol=1e-4)
        shift = gate[0] @ adapter.tensors[1]["steering_direction"]
        torch.testing.assert_close(output[-1], stream[-1] + shift, rtol=1e-3, atol=1e-3)
        assert torch.equal(output[:-1], stream[length - len(output) : -1])
        assert found == []


def test_what_was_decided_lasts_while_a_request_lives_and_answers_are_steered_where_wanted():
    said: list[Any] = []
    steering = _steering(_adapter(gate="always", steer_decode=True), lambda *one: said.append(one))
    stream = torch.randn(8, WIDTH)
    _pass(steering, _step(new=[_new("r", 5, [0, 1])], scheduled=[("r", 5)]), {"r": stream[:5]})
    answer = _pass(steering, _step(cached=[("r", 5)], scheduled=[("r", 1)]), {"r": stream[5:6]})
    assert not torch.equal(answer, stream[5:6])
    again = _step(new=[_new("r", 5, [2, 3])], scheduled=[("r", 6)])  # taken out of the cache, and begun anew
    both = _pass(steering, again, {"r": stream[:6]})
    assert torch.equal(both[5], answer[0])
    assert len(said) == 1
    _pass(steering, _step(new=[_new("r", 5, [0, 1])], scheduled=[("r", 5)], finished=["r"]), {"r": stream[:5]})
    assert len(said) == 2


def test_what_would_not_steer_raises():
    steering = _steering(_adapter())
    stream, step = torch.zeros(4, WIDTH), _step(new=[_new("r", 4, [0])], scheduled=[("r", 4)])

    def run(step: Any = step, names: Any = ("r",), layers: Any = (0, 1), stream: Tensor = stream) -> None:
        with steering.step(step):
            if names:
                steering.arrange(names)
            for layer in layers:
                steer(stream, None, layer)

    run()
    with pytest.raises(RuntimeError, match="outside of a step"):
        steer(stream, None, 0)
    with pytest.raises(RuntimeError, match=r"layers \[0\] acted, layers \[0, 1\] have to"):
        run(layers=[0])
    with pytest.raises(RuntimeError, match="whose requests are not known"):
        run(names=[])
    with pytest.raises(RuntimeError, match="other ones than the step's"):
        run(names=["another"])
    with pytest.raises(RuntimeError, match="begins behind 8 of 8 prompt tokens"):
        run(_step(new=[_new("r", 8, [0, 1], 8)], scheduled=[("r", 1)]))
    with pytest.raises(RuntimeError, match="that no steering adapter has read"):
        run(_step(new=[_new("r", 8, [7, 8], 4)], scheduled=[("r", 4)]))
    with pytest.raises(RuntimeError, match="residual stream of shape"):
        run(stream=torch.zeros(1, 4, WIDTH))


def test_a_block_that_another_request_takes_over_has_nothing_of_the_one_before():
    sums = BlockSums([0], BLOCK, WIDTH, torch.device("cpu"))
    for value in (1.0, 5.0):
        slot = sums.begin(3, 0, 0, BLOCK)
        sums.write(0, torch.tensor([slot]), torch.full((1, WIDTH), value))
        (run,) = sums.runs_of([3], BLOCK)
        total = sums.total(0, torch.tensor([run.slot]), torch.tensor([1]))
        assert torch.equal(total, torch.full((1, WIDTH), value))
    with pytest.raises(RuntimeError, match="goes on at token 2"):
        sums.begin(9, 2, 0, 2)


def test_pictures_are_told_apart_unless_there_is_a_video():
    mask = torch.tensor([True, False, True])
    assert pictures_of(8, [_picture(5, 3), _picture(1, 3, mask)]).tolist() == [0, 1, 0, 1, 0, 2, 2, 2]
    assert pictures_of(6, [_picture(0, 2, kind="video"), _picture(4, 2)]).tolist() == [1, 1, 0, 0, 1, 1]
    assert np.array_equal(pictures_of(3, [_picture(0, 2, kind="audio")]), np.zeros(3))


def test_arguments_of_the_server(tmp_path):
    assert named_adapters(["org/forget-ada", "ben=./forget-ben"]) == {
        "forget-ada": "org/forget-ada",
        "ben": "./forget-ben",
    }
    (tmp_path / "a=b").mkdir()
    assert named_adapters([str(tmp_path / "a=b")]) == {"a=b": str(tmp_path / "a=b")}
    for wrong in ([], ["a=x", "a=y"], ["a="]):
        with pytest.raises(ValueError, match="--adapter"):
            named_adapters(wrong)
    settings = Settings({"a": "x"}, ("a",))
    with pytest.raises(ValueError, match="--additional_config is set by"):
        arguments_of("m", settings, host="h", port=1, further=["--additional_config={}"])
    assert arguments_of("m", settings, host="h", port=1, further=["--max-model-len", "9"])[-2:] == [
        "--max-model-len",
        "9",
    ]
