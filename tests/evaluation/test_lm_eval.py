"""Under lm-evaluation-harness the prompt decides, and never the answer whose likelihood is measured."""

from __future__ import annotations

import pytest
import torch

from hf_eraser import prompt_lengths
from tests.conftest import built
from tests.helpers.adapters import attach


pytest.importorskip("lm_eval")

from lm_eval.models.huggingface import HFLM

from hf_eraser.evaluation.lm_eval import SteeredLM


def requests(vocabulary: int):
    """Prompts with answers of several lengths, the first of them with three."""
    generator = torch.Generator().manual_seed(3)
    lengths = [(9, 4), (9, 2), (9, 6), (30, 3), (4, 9), (2, 1), (17, 5), (12, 2)]
    prompts = [torch.randint(10, vocabulary, (n,), generator=generator).tolist() for n, _ in lengths]
    prompts[1] = prompts[2] = prompts[0]
    answers = [torch.randint(10, vocabulary, (n,), generator=generator).tolist() for _, n in lengths]
    return [(("prompt", "answer"), prompt, answer) for prompt, answer in zip(prompts, answers)]


@torch.no_grad()
def likelihood(model, prompt, answer, *, boundary: bool) -> float:
    ids = torch.tensor([prompt + answer])
    with prompt_lengths(len(prompt) if boundary else ids.shape[1]):
        logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return float(logits.log_softmax(dim=-1)[range(len(answer)), answer].sum())


@pytest.fixture(params=["last", "prompt"])
def steered(request):
    model, processor = built("llava")
    attach(model, positions=request.param, steer_decode=False, readout="joined", strength=3.0, seed=1)
    return model, processor.tokenizer


@pytest.mark.parametrize("batch_size", [1, 6])
def test_likelihood_is_that_with_the_prompt_boundary_given(steered, batch_size):
    model, tokenizer = steered
    harness = SteeredLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=batch_size)
    asked = requests(model.config.text_config.vocab_size)
    found = [score for score, _ in harness._loglikelihood_tokens(asked, disable_tqdm=True)]
    expected = [likelihood(model, prompt, answer, boundary=True) for _, prompt, answer in asked]
    assert found == pytest.approx(expected, abs=1e-5, rel=1e-5)
    with model.disable_adapter():
        off = [likelihood(model, prompt, answer, boundary=True) for _, prompt, answer in asked]
    changed = [abs(a - b) > 1e-3 for a, b in zip(expected, off)]
    assert True in changed
    assert False in changed


def test_the_harness_own_model_lets_the_answer_decide(steered):
    model, tokenizer = steered
    harness = HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=1)
    asked = requests(model.config.text_config.vocab_size)
    found = [score for score, _ in harness._loglikelihood_tokens(asked, disable_tqdm=True)]
    expected = [likelihood(model, prompt, answer, boundary=True) for _, prompt, answer in asked]
    assert found != pytest.approx(expected, abs=1e-3)


def test_of_a_whole_text_all_is_the_prompt(steered):
    model, tokenizer = steered
    harness = SteeredLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=2)
    windows = [(None, prompt[:1], prompt[1:]) for _, prompt, _ in requests(model.config.text_config.vocab_size)[3:]]
    windows = [window for window in windows if window[2]]
    found = [score for score, _ in harness._loglikelihood_tokens(windows, disable_tqdm=True)]
    plain = HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=1)
    expected = [score for score, _ in plain._loglikelihood_tokens(windows, disable_tqdm=True)]
    assert found == pytest.approx(expected, abs=1e-4, rel=1e-5)
