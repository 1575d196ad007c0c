"""
A process that holds one engine of vLLM and does what it is told on its standard input, a line of JSON each.

Run by `tests.helpers.vllm_engine` with the Python of an environment that has vLLM.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any


def main() -> None:
    # What vLLM prints goes to where errors go; answers have the output to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        engine = Engine(json.loads(sys.stdin.readline()))
        answer({"result": None})
    except BaseException as error:
        answer({"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
        return
    for line in sys.stdin:
        told = json.loads(line)
        try:
            answer({"result": getattr(engine, told["do"])(**told["with"])})
        except Exception as error:
            answer({"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})


class Engine:
    def __init__(self, arguments: dict[str, Any]) -> None:
        if os.environ.get("VLLM_USE_V2_MODEL_RUNNER") == "1":
            _interpret_triton()
        from vllm import LLM
        from vllm.plugins import load_general_plugins

        load_general_plugins()  # before anything else imports the package, as in a server
        self.decisions: list[tuple[str, str, list[float], list[float]]] = []
        if "hf_eraser" in arguments.get("additional_config", {}) and "VLLM_PLUGINS" not in os.environ:
            from hf_eraser.serving.metrics import Metrics

            counted = Metrics.observe

            def observe(metrics: Metrics, adapter: str, request: str, gates: Any, scores: Any, bounds: Any) -> None:
                self.decisions.append((request, adapter, gates.tolist(), scores.tolist()))
                counted(metrics, adapter, request, gates, scores, bounds)

            Metrics.observe = observe  # type: ignore[method-assign]
        if os.environ.get("HF_ERASER_TEST_PLAIN_SCHEDULER") == "1":
            from hf_eraser.serving import scheduling

            scheduling.share_prompts_only = lambda scheduler: None
        self.llm = LLM(**arguments)

    def ask(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All at once; in the order of asking, each with its tokens, log-probabilities and decisions."""
        from vllm import SamplingParams

        self.decisions.clear()
        prompts, parameters = [], []
        for request in requests:
            prompt: dict[str, Any] = {"prompt_token_ids": request["tokens"]}
            if request.get("pictures"):
                from PIL import Image

                prompt["multi_modal_data"] = {"image": [Image.open(path) for path in request["pictures"]]}
            prompts.append(prompt)
            extra = {} if request.get("adapters") is None else {"extra_args": {"hf_eraser": request["adapters"]}}
            sampling = {"temperature": 0.0, "max_tokens": 8, "logprobs": 5, "detokenize": False}
            parameters.append(SamplingParams(**{**sampling, **request.get("sampling", {}), **extra}))
        outputs = self.llm.generate(prompts, parameters, use_tqdm=False)
        found = []
        for output in outputs:
            decided: dict[str, dict[str, list[tuple[float, float]]]] = {}
            for name, adapter, gates, scores in self.decisions:
                # A request that was fanned out has children named after it.
                if (
                    name.split("-")[0] == output.request_id
                    or name.partition("_")[2].split("-")[0] == output.request_id
                ):
                    decided.setdefault(adapter, {}).setdefault(name, []).extend(zip(gates, scores))
            found.append(
                {
                    "tokens": [list(one.token_ids) for one in output.outputs],
                    "logprobs": [
                        [{str(token): value.logprob for token, value in step.items()} for step in one.logprobs or ()]
                        for one in output.outputs
                    ],
                    "cached": output.num_cached_tokens,
                    "decided": decided,
                }
            )
        return found

    def abort(self, requests: list[dict[str, Any]], steps: int, aborted: list[int]) -> dict[str, list[int]]:
        """Ask all, stop some after so many steps, and give the tokens of the others."""
        from vllm import SamplingParams

        engine = self.llm.llm_engine
        for number, request in enumerate(requests):
            parameters = SamplingParams(
                temperature=0.0, max_tokens=8, detokenize=False, extra_args={"hf_eraser": request["adapters"]}
            )
            engine.add_request(f"a{number}", {"prompt_token_ids": request["tokens"]}, parameters)
        found: dict[str, list[int]] = {}
        step = 0
        while engine.has_unfinished_requests():
            if step == steps:
                engine.abort_request([f"a{number}" for number in aborted])
            for output in engine.step():
                if output.finished:
                    found[output.request_id] = list(output.outputs[0].token_ids)
            step += 1
        return found

    def refusal(self, arguments: dict[str, Any], set_to: dict[str, Any], version: str | None = None) -> str | None:
        """
        Why an engine with these arguments does not start; None if it goes on to load its model.

        Args:
            arguments: Of vLLM's `LLM`.
            set_to: What is set in its configuration before it is checked, by path, where CPUs have no option for it.
            version: What vLLM says that it is.
        """
        from unittest import mock

        import vllm
        from vllm.engine.arg_utils import EngineArgs

        from hf_eraser.serving import checking

        arguments = dict(arguments)
        checked = checking.check_options

        def check(config: Any) -> None:
            for path, value in set_to.items():
                owner = config
                *parents, name = path.split(".")
                for parent in parents:
                    owner = getattr(owner, parent)
                object.__setattr__(owner, name, value)
            checked(config)

        skipped = arguments.pop("skip_tokenizer_init", True)
        with (
            mock.patch.object(checking, "check_options", check),
            mock.patch.object(vllm, "__version__", version or vllm.__version__),
        ):
            try:
                EngineArgs(**arguments, skip_tokenizer_init=skipped).create_engine_config()
            except Exception as error:
                return f"{type(error).__name__}: {error}"
        return None

    def beams(self, tokens: list[int]) -> None:
        from vllm.sampling_params import BeamSearchParams

        self.llm.beam_search([{"prompt_token_ids": tokens}], BeamSearchParams(beam_width=2, max_tokens=2))

    def forget_prefixes(self) -> bool:
        return self.llm.reset_prefix_cache()

    def adapters(self) -> list[list[str]]:
        return self.llm.collective_rpc("hf_eraser_adapters")

    def metrics(self) -> dict[str, float]:
        """vLLM's own and ours, by name and labels; names without the model's."""
        from prometheus_client import REGISTRY

        found = {}
        for family in REGISTRY.collect():
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if name not in ("model_name", "engine")}
                found[" ".join([sample.name, *(f"{name}={value}" for name, value in sorted(labels.items()))])] = (
                    sample.value
                )
        return found

    def preemptions(self) -> int:
        return int(sum(metric.value for metric in self.llm.get_metrics() if metric.name == "vllm:num_preemptions"))

    def changed_classes(self) -> list[str]:
        """What of vLLM's was changed by us."""
        from vllm.v1.engine.input_processor import InputProcessor
        from vllm.v1.worker.cpu_model_runner import CPUModelRunner

        own = [vars(InputProcessor)["process_inputs"], vars(CPUModelRunner)["load_model"]]
        return [method.__qualname__ for method in own if hasattr(method, "hf_eraser")]


def _interpret_triton() -> None:
    """The second model runner needs Triton, which has no build for CPUs: its interpreter does."""
    import triton.backends

    backends = triton.backends.backends
    if "cpu" not in backends:
        backends["cpu"] = next(iter(backends.values()))


if __name__ == "__main__":
    main()
