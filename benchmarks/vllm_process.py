"""
A process that times one engine of vLLM, as it is told on its standard input, a line of JSON each.

Run by `benchmarks.experiments.serving` with the Python of an environment that has vLLM, and not PEFT.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Start the engine, and answer."""
    # What vLLM prints goes to where errors go.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from vllm import LLM

    engine = LLM(**json.loads(sys.stdin.readline())).llm_engine
    answers.write("null\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(_timed(engine, **json.loads(line))) + "\n")
        answers.flush()


def _timed(
    engine: Any, *, prompts: list[list[int]], arrivals: list[float], length: int, adapters: list[list[str]] | None
) -> dict[str, Any]:
    """
    Ask, and note when first and last tokens come.

    Args:
        engine: vLLM's engine.
        prompts: The tokens of each request.
        arrivals: When each comes, in seconds from the beginning.
        length: How many tokens each answer has.
        adapters: Of each request; None for an engine without the plug-in.

    Returns:
        Seconds in all, and for each request until its first token and until its last one.
    """
    from vllm import SamplingParams

    begin = time.perf_counter()
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    waiting = list(range(len(prompts)))
    while waiting or engine.has_unfinished_requests():
        now = time.perf_counter() - begin
        while waiting and arrivals[waiting[0]] <= now:
            number = waiting.pop(0)
            extra = None if adapters is None else {"hf_eraser": adapters[number]}
            parameters = SamplingParams(
                temperature=0.0, max_tokens=length, ignore_eos=True, detokenize=False, extra_args=extra
            )
            engine.add_request(str(number), {"prompt_token_ids": prompts[number]}, parameters)
        if not engine.has_unfinished_requests():
            time.sleep(max(0.0, arrivals[waiting[0]] - now))
            continue
        for output in engine.step():
            now = time.perf_counter() - begin
            first.setdefault(output.request_id, now)
            if output.finished:
                last[output.request_id] = now
    names = [str(number) for number in range(len(prompts))]
    return {
        "seconds": time.perf_counter() - begin,
        "first": [first[name] - arrivals[int(name)] for name in names],
        "last": [last[name] - arrivals[int(name)] for name in names],
    }


if __name__ == "__main__":
    main()
