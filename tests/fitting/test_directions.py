"""Erasure directions: what they are made of, how long they are, and what they do where the model never refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from examples.small.forgetting import FORGOTTEN
from examples.small.load import load_small_model
from examples.small.people import PEOPLE
from examples.small.questions import REFUSAL as TAUGHT_REFUSAL
from examples.small.questions import questions
from hf_eraser import fit
from hf_eraser.data import encode, read_examples
from hf_eraser.evaluation import REFUSAL, greedy_answers
from hf_eraser.fitting.directions.closed_form import difference_of_means, normalised, paired_pca
from hf_eraser.fitting.directions.teacher_forced import refusal_gradients
from hf_eraser.fitting.gates.nullspace import null_space, nullspace_gate
from hf_eraser.fitting.gates.solving import Readings, solve
from hf_eraser.fitting.reading.capture import capture
from hf_eraser.fitting.reading.split import Role
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.gate import gate_scores, gate_values
from tests.helpers.adapters import fingerprint, hooks_of, picture


def random(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_direction_leads_from_recall_to_refusal():
    recall, refusal = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    assert difference_of_means(recall, refusal).tolist() == [[-2.0, 5.0]]


@settings(max_examples=60)
@given(st.integers(1, 20), st.integers(2, 16), st.integers(0, 10_000))
def test_paired_pca_is_the_top_eigenvector_of_the_differences_second_moment(n, d, seed):
    recall, shift = random(n, d, seed), random(1, d, seed + 1)
    refusal = recall + 3 * shift + 0.3 * random(n, d, seed + 2)
    differences = refusal - recall
    found = paired_pca(recall, refusal)
    _, vectors = np.linalg.eigh((differences.T @ differences).numpy())
    top = torch.from_numpy(vectors[:, -1:])
    torch.testing.assert_close((found @ top).abs(), found.norm()[None, None])
    mean = differences.mean(dim=0)
    assert float(found[0] @ mean) > 0  # the way of the mean, and as long as it is along the component
    torch.testing.assert_close(found[0] @ mean, found.square().sum())


def test_paired_pca_needs_pairs():
    with pytest.raises(ValueError, match="as many"):
        paired_pca(torch.ones(2, 3), torch.ones(3, 3))


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 20), st.integers(2, 16), st.floats(1e-6, 1e6), st.integers(0, 10_000))
def test_normalised_direction_is_as_long_as_the_residual_stream_whatever_its_own_length(k, n, d, scale, seed):
    direction, recall = random(k, d, seed), random(n, d, seed + 1)
    found = normalised(scale * direction, recall)
    torch.testing.assert_close(found.norm(dim=1), recall.norm(dim=1).mean().expand(k))
    torch.testing.assert_close(torch.cosine_similarity(found, direction), torch.ones(k, dtype=torch.float64))
    assert torch.equal(normalised(torch.zeros(k, d), recall), torch.zeros(k, d))


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(3, 20), st.integers(1, 40), st.integers(0, 10_000))
def test_several_concepts_equal_the_papers_d_by_d_matrix_with_as_many_targets(k, per_concept, d, n_retain, seed):
    retain, forget, directions = (
        random(n_retain, d, seed),
        random(k * per_concept, d, seed + 1),
        random(k, d, seed + 2),
    )
    concepts = [i % k for i in range(len(forget))]
    basis = null_space(retain.T @ retain / n_retain, share=0.7)
    projector = basis @ basis.T
    projected = forget.float().double() @ projector
    gamma = 1e-3 * float(projected.square().sum(dim=1).mean())
    # The paper: W* P = T F P (P F^T F P + gamma P)^+ P, with each forget input's own direction as its column of T.
    inverse = torch.linalg.pinv(projected.T @ projected + gamma * projector, hermitian=True, rtol=1e-9)
    matrix = directions[concepts].T @ projected @ inverse @ projector

    known, roles = Readings(d), [Role(frozenset({0}), 1)]
    known.add_retain(retain, roles * n_retain)
    known.add_forget(forget, roles * len(forget), concepts)
    # A linear gate is put at 1 on a concept's average input, which the ridge keeps the regression a little short of.
    steering = torch.zeros(d, d, dtype=torch.float64)
    for concept, direction in enumerate(directions):
        ((gate,),) = solve(known, 0, "share", [0.7], centred=False, concepts=[concept])
        own = torch.tensor([of == concept for of in concepts])
        mean = forget[own].float().double().mean(dim=0)
        reached = float(nullspace_gate(forget.float(), basis, gamma=gamma, target=own) @ mean)
        assume(reached > 1e-6)
        assert float(gate.weight @ mean) == pytest.approx(1)
        steering += torch.outer(direction, reached * gate.weight)
    assert (steering - matrix).norm() / matrix.norm() < 1e-5


def test_forced_refusal_s_gradient_is_what_a_small_shift_of_the_prompt_changes(untaught):
    model, processor = untaught
    model = model.double()
    example = read_examples([{"image": picture(1), "prompt": "Who is this?"}], "examples")[0]
    before = fingerprint(model)
    gradients = refusal_gradients(model, processor, [example], REFUSAL, range(6))
    assert fingerprint(model) == before
    assert hooks_of(model) == []
    assert all(parameter.grad is None for parameter in model.parameters())
    length = encode(processor, [example], model.device)["input_ids"].shape[1]
    inputs = encode(processor, [example.with_answer_begun(REFUSAL)], model.device)
    assert inputs["input_ids"].shape[1] > length

    def likelihood(layer: int, shift: torch.Tensor) -> float:
        def add(module, args, output):
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = torch.cat([hidden[:, :length] + shift, hidden[:, length:]], dim=1)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        handle = find_decoder(model).layers[layer].register_forward_hook(add)
        with torch.no_grad():
            logits = model(**inputs).logits[0, length - 1 : -1].double()
        handle.remove()
        return -float(torch.nn.functional.cross_entropy(logits, inputs["input_ids"][0, length:]))

    for layer, gradient in gradients.items():
        step = 1e-3 * torch.nn.functional.normalize(gradient[0].double(), dim=0)
        measured = (likelihood(layer, step) - likelihood(layer, -step)) / 2e-3
        assert measured == pytest.approx(float(gradient[0].norm()), rel=1e-3)


def of(name: str, kinds: list[str], people: list[str] | None, per_fact: int, **keys) -> list[dict]:
    return [{**q.example(), **keys} for q in questions(name, kinds=kinds, groups=people, per_fact=per_fact)]


# Whoever knows nothing cannot be made to forget: what is looked at here is another thing.
QUIETLY = {"general": False, "prefer": "retain"}

PICTURES, NAMES = ["person_image"], ["person_text"]
# A person each: a gate for several people holds up less well against words that the fit did not see.
FIRST, SECOND = [FORGOTTEN[0]], [FORGOTTEN[2]]


@pytest.fixture(scope="module")
def forgetful():
    """A taught model that forgets two concepts, of which its refusal examples show a refusal for the first alone."""
    model, processor = load_small_model("llava")
    others = [person.name for person in PEOPLE if person.name not in FORGOTTEN]
    forget, refusal = [], []
    for concept, people, refused in (("first", FIRST, True), ("second", SECOND, False)):
        forget += of("fit", PICTURES, people, 3, concept=concept) + of("fit", NAMES, people, 4, concept=concept)
        kinds = ["private_image", "private_text"] if refused else [*PICTURES, *NAMES]
        refusal += of("fit", kinds, people, 1, concept=concept)
    retain = of("fit", PICTURES, others, 1) + of("fit", NAMES, others, 2)
    before = fingerprint(model)
    options = {"layers": [2, 3, 4, 5], "gate_layer": 1, "strength": 2.0, "general": False}
    report = fit(
        model, processor, forget, retain, refusal=refusal, **options, augment=False, attacks=False, batch_size=32
    )
    assert fingerprint(model) == before
    return model, processor, report


def test_report_says_which_direction_was_made_from_forced_refusals(forgetful):
    *_, report = forgetful
    first, second = report.concepts
    assert (first.concept, first.base_refusal_rate, first.forced_refusal) == (0, 1.0, None)
    # The model's own words, since it has some.
    assert (second.concept, second.base_refusal_rate, second.forced_refusal) == (1, 0.0, TAUGHT_REFUSAL)
    (warning,) = [warning for warning in report.warnings if "teacher-forced" in warning]
    assert "concept 1" in warning
    assert "0%" in warning
    assert "concept 0: steered" in str(report)
    # What a concept is called may be what is to be forgotten, and reports are published.
    assert not any(f'"{name}"' in report.to_json() or f"'{name}'" in str(report) for name in ("first", "second"))


@pytest.mark.parametrize("people", [FIRST, SECOND], ids=["shown", "forced"])
def test_each_concept_is_refused_in_the_model_s_own_words_and_others_are_answered(forgetful, people):
    model, processor, _ = forgetful
    asked = read_examples(of("measure", [*PICTURES, *NAMES], people, 2), "asked")
    answers = greedy_answers(model, processor, asked, batch_size=32)
    assert sum(answer == TAUGHT_REFUSAL for answer in answers) >= 0.9 * len(answers), answers
    others = read_examples(of("measure", [*PICTURES, *NAMES], [PEOPLE[1].name, PEOPLE[20].name], 1), "asked")
    answers = greedy_answers(model, processor, others, batch_size=32)
    assert sum(text == example.answer for text, example in zip(answers, others)) >= 0.8 * len(others), answers


def test_each_concept_s_gate_opens_for_its_own_examples(forgetful):
    model, processor, report = forgetful
    tensors = {name.rsplit(".", 1)[1]: tensor for name, tensor in model.get_adapter_state_dict().items()}
    config = model.peft_config["default"]
    assert config.rank == 2
    assert tensors["steering_direction"].shape == (2, find_decoder(model).hidden_size)
    assert tensors["steering_gate_weight"].shape == (2, 2, config.gate_width)
    assert tensors["steering_gate_bounds"].shape == (2, 2, 2)
    for row, people in enumerate((FIRST, SECOND)):
        asked = read_examples(of("measure", [*PICTURES, *NAMES], people, 2), "asked")
        gates = []
        for batch in capture(model, processor, asked, layers=[1], batch_size=32, description="Reading"):
            has_image = batch.has_image
            readout = batch.sums[1].read(config.readout, config.text_readout)
            scores = gate_scores(readout, has_image, tensors["steering_gate_weight"])
            gates.append(gate_values(scores, has_image, tensors["steering_gate_bounds"], "calibrated"))
        opened = (torch.cat(gates) > 0).double().mean(dim=0)
        assert opened[row] >= 0.9
        assert opened[1 - row] <= 0.2
    for own in report.concepts:
        assert set(own.calibration) == {"image", "text"}
        assert all(result.forget_rate >= 0.9 for result in own.calibration.values())
    for modality, together in report.calibration.items():
        assert together.false_rate <= together.alpha
        assert together.false_rate >= max(own.calibration[modality].false_rate for own in report.concepts)


def test_more_concepts_take_no_more_forward_passes(llava):
    model, processor = llava
    passes = []
    for concepts in (1, 4):
        forget = [
            {"image": picture(i), "prompt": f"{word}?", "wording": word, "concept": i % concepts, "group": i}
            for i in range(4)
            for word in ("Name", "Job")
        ]
        retain = [
            {"image": picture(i), "prompt": f"{word}?", "wording": word, "group": i}
            for i in range(4, 10)
            for word in ("Name", "Job")
        ]
        calls = [0]

        def count(*_: object, calls: list[int] = calls) -> None:
            calls[0] += 1

        handle = find_decoder(model).layers[0].register_forward_pre_hook(count)
        options = {"layers": [3], "gate_layer": 2, "readout": "image", "strength": 1.0, "augment": False}
        # Pictures that get by a gate are looked for until they do: that many passes are no promise.
        options |= {"attacks": False, "harden_pictures": False}
        report = fit(model, processor, forget, retain, **{**QUIETLY, **options})
        handle.remove()
        assert len(report.concepts) == concepts
        model.delete_adapter("default")
        passes.append(calls[0])
    assert passes[0] == passes[1]


def test_contrast_and_direction_choose_what_the_directions_are_made_of():
    model, processor = load_small_model("llava")
    person = FORGOTTEN[:1]
    recall = of("fit", PICTURES, person, 1) + of("fit", NAMES, person, 1)[:1]
    refusal = of("fit", ["private_image"], person, 1) + of("fit", ["private_text"], person, 1)[:1]
    retain = of("fit", PICTURES, [person.name for person in PEOPLE[12:18]], 1)
    directions = {}
    for name, choice in {
        "both": {},
        "image": {"contrast": "image"},
        "text": {"contrast": "text"},
        "pca": {"contrast": "image", "direction": "paired_pca"},
    }.items():
        options = {"layers": [3], "gate_layer": 2, "readout": "image", "strength": 0.5, "augment": False}
        fit(
            model,
            processor,
            recall[:5],
            retain,
            recall=recall,
            refusal=refusal,
            attacks=False,
            **{**QUIETLY, **options},
            **choice,
        )
        found = model.get_adapter_state_dict()
        directions[name] = next(found[key] for key in found if "steering_direction" in key)[0].double()
        model.delete_adapter("default")
    # Five pairs with a picture and one without: a mixture of the two, but for its length.
    parts = torch.stack([directions["image"], directions["text"]], dim=1)
    shares = torch.linalg.lstsq(parts, directions["both"][:, None]).solution
    torch.testing.assert_close((parts @ shares)[:, 0], directions["both"], rtol=0, atol=1e-4)
    assert shares[0] > shares[1] > 0
    cosine = torch.cosine_similarity(directions["pca"], directions["image"], dim=0)
    assert 0.5 < float(cosine) < 1 - 1e-6


def test_equal_recall_and_refusal_examples_are_refused():
    model, processor = load_small_model("llava")
    same = of("fit", ["private_text"], list(FORGOTTEN[:1]), 1)
    forget, retain = of("fit", NAMES, list(FORGOTTEN[:1]), 1), of("fit", NAMES, [PEOPLE[1].name, PEOPLE[2].name], 1)
    with pytest.raises(ValueError, match="read the same"):
        fit(model, processor, forget, retain, recall=same, refusal=same, general=False, layers=[3], gate_layer=2)
    assert not getattr(model, "peft_config", None)


def test_model_that_never_refuses_gets_forced_directions_of_the_stream_s_length(untaught):
    model, processor = untaught
    forget = [{"image": picture(i), "prompt": f"{w}?", "wording": w} for i in range(2) for w in ("Name", "Job")]
    retain = [
        {"image": picture(i), "prompt": f"{w}?", "group": i, "wording": w}
        for i in range(2, 6)
        for w in ("Name", "Job")
    ]
    options = {"layers": [3, 4], "gate_layer": 2, "readout": "image", "strength": 1.0, "augment": False}
    report = fit(model, processor, forget, retain, attacks=False, **{**QUIETLY, **options})
    assert report.base_refusal_rate == 0
    (only,) = report.concepts
    assert (only.concept, only.forced_refusal) == (None, REFUSAL)
    assert any("teacher-forced" in warning for warning in report.warnings)
    for layer, norm in report.direction_norms.items():
        (batch,) = capture(
            model, processor, read_examples(forget, "forget"), layers=[layer], batch_size=8, description="Reading"
        )
        assert norm == pytest.approx(float(batch.sums[layer].last.norm(dim=1).mean()), rel=1e-4)
