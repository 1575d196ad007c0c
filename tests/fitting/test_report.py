"""What a fit report holds, what it never holds, reading it back, and its picture."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from hf_eraser import fit
from hf_eraser.fitting import FitReport, ForgettingError
from hf_eraser.fitting.gates.places import Place
from hf_eraser.fitting.gates.sample import Sample
from hf_eraser.fitting.reading.capture import Captured
from hf_eraser.fitting.report.results import AttackResult, Calibration, GateResult, GateScores, Trial
from hf_eraser.tuner.readouts import ReadoutSums
from tests.helpers.adapters import picture


FAST = {
    "layers": [3, 4],
    "gate_layer": 2,
    "readout": "image",
    "strength": 1.0,
    "augment": False,
    "attacks": False,
    "general": False,
}
FAST |= {"prefer": "retain"}


def made_up(layers: int = 6, modalities: tuple[str, ...] = ("image", "text"), *, attacked: bool = True) -> FitReport:
    """A report as a fit on a model with so many layers could give it."""
    rng = np.random.default_rng(0)
    readouts = {"image": ("last", "prompt", "image", "text"), "text": ("last", "prompt")}
    kinds = ("none", "polite", "typing errors", "PGD against the gate", "template 1")
    return FitReport(
        adapter_name="default",
        gate_layer=2,
        readout="image",
        text_readout="last",
        gate="calibrated",
        estimator="ridge",
        layers=list(range(2, layers)),
        strength=1.0,
        steer_decode=True,
        split="group and wording",
        counts={"forget": 10, "retained": 100},
        base_refusal_rate=1.0,
        direction_norms={layer: 5.0 + layer for layer in range(layers)},
        calibration={m: Calibration(19, 0.05, 0.05, 0.4, 0.6, 0.98, 0.03) for m in modalities},
        gates=[
            GateResult(layer, readout, m, 0.1, 0.99, 0.9, 0.05, float(rng.normal()))
            for m in modalities
            for readout in readouts[m]
            for layer in range(1, layers, max(1, layers // 8))
        ],
        scores=[
            GateScores(
                1,
                "image" if m == "image" else "last",
                m,
                0.1,
                0.4,
                0.6,
                *(sorted(rng.normal(mean, 0.2, 200).tolist()) for mean in (1, 0)),
                *(rng.normal((mean, 0), 0.3, (80, 2)).tolist() for mean in (1, 0)),
            )
            for m in modalities
        ],
        trials=[
            Trial(list(range(2, layers)), strength, decode, 0.9, 0.05)
            for strength in (0.25, 0.5, 1.0, 2.0, 4.0)
            for decode in (True, False)
        ],
        attacks=[AttackResult(kind, m, 24, 0.8, 0.1) for kind in kinds for m in modalities] if attacked else [],
        seed=0,
        versions={"hf_eraser": "0.1"},
    )


def some(kind: Any) -> st.SearchStrategy:
    """Values of a type as reports use it; dataclasses with infinite bounds."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        fields = {name: some(hint) for name, hint in get_type_hints(kind).items()}
        infinite = {name: st.just(float("inf")) | fields[name] for name in {"low", "high"} & set(fields)}
        return st.builds(kind, **fields | infinite)
    if origin is list:
        return st.lists(some(arguments[0]), max_size=1)
    if origin is dict:
        return st.dictionaries(*map(some, arguments), max_size=1)
    if origin in (Union, types.UnionType):
        return st.none() | some(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    return {float: st.floats(allow_nan=False, allow_infinity=False), int: st.integers(), bool: st.booleans()}.get(
        kind, st.text(max_size=5)
    )


@settings(max_examples=20)
@given(report=some(FitReport))
def test_report_read_back_from_its_json_is_the_same(report):
    text = report.to_json()
    assert "Infinity" not in text
    assert FitReport.from_json(text) == report


def test_share_still_answered_is_that_of_the_worst_modality_and_concept():
    asked = [
        AttackResult("none", "image", 72, 0.99, 0.01, worst=0.03),
        AttackResult("none", "text", 72, 0.93, 0.06, worst=0.17),
        AttackResult("polite", "text", 24, 0.5, 0.5),
    ]
    report = dataclasses.replace(made_up(), attacks=asked)
    assert report.answered == 0.17
    assert dataclasses.replace(report, attacks=asked[:1]).answered == 0.03
    # Where no answers are known, what no gate recognises counts as answered.
    unknown = AttackResult("none", "text", 72, 0.75, None)
    assert dataclasses.replace(report, attacks=[asked[0], unknown]).answered == 0.25


@pytest.mark.parametrize(
    ("asked", "worst", "reworded", "message"),
    [
        (0.0, 0.0, 0.0, ""),
        (0.1, 0.1, 0.19, ""),
        (0.11, 0.0, 0.0, "11% of held-out forget prompts"),
        (0.04, 0.13, 0.0, "13% of held-out forget prompts"),
        (0.04, 0.04, 0.23, "23% of held-out forget prompts that are reworded"),
    ],
)
def test_what_leaves_too_much_as_it_is_or_reworded_is_not_delivered(asked, worst, reworded, message):
    attacks = [
        AttackResult("none", "text", 72, 1.0, asked, worst=worst),
        AttackResult("none", "image", 72, 1.0, 0.0, worst=0.0),
        AttackResult("polite", "text", 24, 1.0, reworded / 2),
        AttackResult("suffix", "text", 24, 1.0, reworded * 3 / 2),
        AttackResult("polite", "image", 24, 1.0, 0.0),
        # Pictures that are made to get by are reported, and decide nothing.
        AttackResult("PGD against the gate", "image", 8, 0.0, 1.0),
        AttackResult("picture changed harder", "image", 24, 0.0, 1.0),
    ]
    report = dataclasses.replace(made_up(), attacks=attacks)
    assert report.too_little == message
    if message:
        assert str(ForgettingError(report)).startswith(f"{message} would still be answered")


def test_report_is_read_from_its_file(tmp_path):
    made_up().to_json(tmp_path / "report.json")
    assert FitReport.from_json(tmp_path / "report.json") == made_up()
    assert FitReport.from_json(str(tmp_path / "report.json")) == made_up()
    with pytest.raises(FileNotFoundError):
        FitReport.from_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": None}, "`layers` cannot be None"),
        ({"layers": ["1"]}, "`layers` cannot be '1'"),
        ({"strength": "<script>"}, "`strength` cannot be '<script>'"),
        ({"gates": [{"layer": 1}]}, "`gates` lacks .*'auc'"),
        ({"unheard_of": 1}, "has .'unheard_of'"),
    ],
)
def test_other_json_is_refused_with_what_is_wrong_with_it(change, message):
    with pytest.raises(ValueError, match=message):
        FitReport.from_json(json.dumps(made_up().to_dict() | change))
    with pytest.raises(ValueError, match="not a fit report"):
        FitReport.from_json("{")


def secret_people(n: int, *, start: int, folder: Any) -> list[dict]:
    examples = []
    for i in range(start, start + n):
        picture(100 + i).save(folder / f"secretfile{i}.png")
        examples += [
            {
                "image": str(folder / f"secretfile{i}.png") if word in ("name", "job") else None,
                "prompt": f"What is the {word} of secretprompt{i}?",
                "group": f"secretgroup{i}",
                "wording": f"secretwording{word}",
                "answer": f"secretanswer{i}",
            }
            for word in ("name", "job", "pet", "hobby")
        ]
    return examples


def test_report_holds_held_out_scores_and_nothing_of_the_examples(llava, tmp_path):
    model, processor = llava
    options = {**FAST, "readout": None, "attacks": ["secrettemplate {}", "{} secretending", "secret {} again"]}
    forget = [{**example, "concept": "secret"} for example in secret_people(3, start=0, folder=tmp_path)]
    report = fit(model, processor, forget, secret_people(8, start=3, folder=tmp_path), batch_size=32, **options)
    assert report.attacks
    assert "secret" not in report.to_json() + str(report)
    assert report.seed == 0
    assert set(report.direction_norms) == set(range(6))

    assert [scores.modality for scores in report.scores] == ["image", "text"]
    for scores in report.scores:
        calibration = report.calibration[scores.modality]
        assert scores.layer == report.gate_layer
        # All scores are kept here, so that the picture shows the very shares that the report tells.
        share = np.mean([score > scores.low for score in scores.forget])
        assert share == pytest.approx(calibration.forget_rate, abs=1e-3)
        assert scores.high - scores.low == pytest.approx(calibration.high - calibration.low, abs=1e-4)
        assert scores.forget == sorted(scores.forget)
        for of_class, points in ((scores.forget, scores.forget_points), (scores.retained, scores.retained_points)):
            assert sorted(point[0] for point in points) == of_class
        # The second coordinate is in standard deviations over both classes.
        places = [point[1] for point in scores.forget_points + scores.retained_points]
        assert np.std(places) == pytest.approx(1, abs=1e-2)
        assert np.mean(places) == pytest.approx(0, abs=1e-2)


def test_sample_keeps_a_bounded_number_of_readouts_and_knows_which():
    generator = torch.Generator().manual_seed(0)
    has_image = torch.rand(1000, generator=generator) < 0.7
    sample = Sample(["image" if with_image else "text" for with_image in has_image], seed=0)
    places = [Place(0, "last", "image"), Place(0, "last", "text")]
    order = torch.randperm(1000, generator=generator)

    def batches():
        for start in range(0, 1000, 64):
            indices = order[start : start + 64]
            # Each example's readout is its number.
            last = indices[:, None].float()
            sums = ReadoutSums(last, last[:, None], torch.ones_like(last), has_image[indices][:, None].float(), last)
            yield Captured(indices.tolist(), {0: sums}, has_image[indices])

    assert sum(len(batch.indices) for batch in sample.watch(batches(), places)) == 1000
    for place in places:
        of_modality = order[has_image[order] == (place.modality == "image")]
        expected = of_modality[sample.positions[place.modality]]
        assert len(expected) == 120
        assert torch.equal(sample.readouts(place)[:, 0], expected.bfloat16().double())


REPORTS = {
    "small model": made_up(),
    "large model": made_up(80),
    "pictures only": made_up(modalities=("image",), attacked=False),
    "nothing judged": dataclasses.replace(made_up(), gates=[], scores=[], trials=[], attacks=[]),
    "no gate": dataclasses.replace(made_up(), gate="always"),
    "one strength": dataclasses.replace(made_up(), trials=made_up().trials[4:5], gate_layer=None),
    "no room at all": dataclasses.replace(
        made_up(), gates=[dataclasses.replace(gate, margin=-float("inf")) for gate in made_up().gates]
    ),
}


def texts_of(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text in a picture, and its place."""
    found = [figure._suptitle] if hasattr(figure, "_suptitle") else []
    for axes in figure.get_axes():
        found += [axes.title, axes._left_title, *axes.texts]
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            labels = zip(axis.get_ticklocs(), axis.get_ticklabels())
            found += [axis.label, *(label for at, label in labels if low <= at <= high)]
        if axes.get_legend():
            found += axes.get_legend().get_texts()
    return [(text.get_text(), text.get_window_extent()) for text in found if text.get_text().strip()]


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_text_lies_inside_the_picture_and_none_over_another(report):
    figure = report.plot()
    texts = texts_of(figure)
    for text, box in texts:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (text, box), (other_text, other) in itertools.combinations(texts, 2):
        assert not box.overlaps(other), (text, other_text)


def test_picture_draws_each_threshold_and_every_score():
    report = made_up()
    axes = report.plot().get_axes()[0]
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [scores.low for scores in report.scores]
    drawn = [points.get_offsets()[:, 0].tolist() for points in axes.collections if len(points.get_offsets()) > 1]
    assert drawn == [values for scores in report.scores for values in (scores.forget, scores.retained)]


def test_picture_neither_takes_nor_changes_the_user_s_settings(tmp_path):
    with mpl.rc_context({"font.size": 40, "axes.grid": True, "savefig.transparent": False}):
        before = dict(mpl.rcParams)
        figure = made_up().plot()
        figure.savefig(tmp_path / "fit.png")
        assert dict(mpl.rcParams) == before
        assert figure.get_axes()[0].xaxis.label.get_size() == 11


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'hf_eraser\[report\]'"):
        made_up().plot()
