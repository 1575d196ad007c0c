"""What the app shows: answers side by side and the gates' decisions, as HTML, and the style sheet for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from ..evaluation.judging import is_refusal
from ..tuner.explain import GateDecision


@dataclass(frozen=True)
class Answer:
    """
    What the model answers with some adapters.

    Attributes:
        adapters: The adapters that acted together; none for the base model.
        text: The answer; None while it is not known yet.
        gates: What the gates of each adapter decided.
    """

    adapters: tuple[str, ...]
    text: str | None = None
    gates: dict[str, list[GateDecision]] = field(default_factory=dict)


def verdict(gates: Sequence[GateDecision], answer: Answer, base: Answer, *, strength: float) -> str:
    """In a few words, what an adapter's gates decided and what came of it."""
    if not any(gate.is_open for gate in gates):
        return "Gate closed: unchanged"
    if strength == 0:
        return "Gate open, strength 0: unchanged"
    if answer.text == base.text:
        return "Gate open, yet the same answer"
    return "Gate open: refused" if is_refusal(answer.text or "") else "Gate open: answer changed"


def page_of(question: str, answers: Sequence[Answer], off: Sequence[str], *, strength: float) -> str:
    """
    The answers as cards side by side.

    Args:
        question: What was asked.
        answers: The base model's first.
        off: The adapters that are switched off.
        strength: What the adapters' own strengths are multiplied by.
    """
    cards = [_card(answer, answers[0], strength) for answer in answers]
    cards += [
        f'<article class="card off"><h2>{escape(name)}</h2><p class="muted">Switched off, so it was not asked.</p>'
        "</article>"
        for name in off
    ]
    return (
        f'<p class="asked"><span class="muted">Asked</span> {escape(question)}</p>'
        f'<section class="cards" aria-label="Answers">{"".join(cards)}</section>'
    )


def problem(message: str) -> str:
    """What is shown in place of answers where there can be none."""
    return f'<p class="problem" role="alert">{escape(message)}</p>'


def _card(answer: Answer, base: Answer, strength: float) -> str:
    if not answer.adapters:
        title, kind = "Without any adapter", "base"
    elif len(answer.adapters) == 1:
        title, kind = answer.adapters[0], "one"
    else:
        title, kind = "All switched on, together", "all"
    if answer.text is None:
        body = '<p class="answer muted">Waiting …</p>'
    else:
        shown = escape(answer.text) if answer.text else '<span class="muted">(an empty answer)</span>'
        body = f'<p class="answer">{shown}</p>'
        if not answer.adapters:
            body += '<p class="muted">What the model knows. It stays in the weights.</p>'
        for name, gates in answer.gates.items():
            state = "open" if any(gate.is_open for gate in gates) else "closed"
            one = kind == "one"
            words = verdict(gates, answer, base, strength=strength) if one else f"{escape(name)}: {state}"
            body += f'<p class="verdict {state}"><span aria-hidden="true"></span>{words}</p>'
            body += _gates(gates) if one else ""
    return f'<article class="card {kind}"><h2>{escape(title)}</h2>{body}</article>'


def _gates(gates: Sequence[GateDecision]) -> str:
    """The gate that decided most, and the others folded away."""
    ordered = sorted(gates, key=lambda gate: (-gate.gate, gate.low - gate.score))
    html = _gate(ordered[0])
    if len(ordered) > 1:
        others = "".join(f"<p>Layer {gate.layer}, direction {gate.direction}</p>{_gate(gate)}" for gate in ordered[1:])
        html += f"<details><summary>Other gates: {len(ordered) - 1}</summary>{others}</details>"
    return html


def _gate(gate: GateDecision) -> str:
    if gate.mode == "always":
        return '<p class="muted">This adapter has no threshold: it steers every prompt.</p>'
    if gate.low == float("inf"):
        kind = "with a picture" if gate.modality == "image" else "without a picture"
        return f'<p class="muted">This adapter never steers a prompt {kind}.</p>'
    # A linear gate is the score itself from 0 on.
    low, high = (gate.low, gate.high) if gate.mode == "calibrated" else (0.0, 0.0)
    threshold = "opens at 0" if low == high else f"closed up to {low:.3g}, open from {high:.3g}"
    # The threshold is always in the middle, so that the side on which the score falls says it all.
    middle = (low + high) / 2
    half = 1.2 * max(abs(gate.score - middle), 1.5 * (high - low)) or 1.0

    def at(value: float) -> str:
        return f"{50 + 50 * (value - middle) / half:.2f}%"

    score = at(gate.score)
    marks = f'<i class="mark" style="left:{at(low)}"></i>'
    labels = f'<span class="high" style="left:{at(high)}">{threshold}</span>'
    if high > low:
        marks += f'<i class="mark" style="left:{at(high)}"></i>'
        labels = f'<span class="low" style="right:calc(100% - {at(low)})">low {low:.3g}</span>'
        labels += f'<span class="high" style="left:{at(high)}">high {high:.3g}</span>'
    return (
        f'<div class="gate" role="img" aria-label="Score {gate.score:.3g}; {threshold}; gate {gate.gate:.2f}">'
        f'<div class="score"><span style="left:{score};transform:translateX(-{score})">score {gate.score:.3g}</span>'
        "</div>"
        f'<div class="track"><i class="ramp" style="left:{at(low)};right:calc(100% - {at(high)})"></i>'
        f'<i class="full" style="left:{at(high)}"></i>{marks}'
        f'<i class="pin" style="left:{score}"></i></div>'
        f'<div class="bounds">{labels}</div></div>'
        f'<p class="muted">Gate {gate.gate:.2f} · read at layer {gate.layer} from {_READ[gate.readout]}</p>'
    )


_READ = {
    "last": "the last token of the prompt",
    "prompt": "the whole prompt",
    "image": "the picture",
    "text": "the words of the prompt",
    "joined": "the last token and the whole prompt",
}

CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto; }
footer { display: none !important; }
#head h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .35rem; }
#head p { margin: 0; max-width: 62rem; }
/* Gradio's own grid of pictures is wider than a phone, and its captions hide the pictures. */
#gallery .grid-container {
  grid-template-columns: repeat(auto-fill, minmax(4.2rem, 1fr)) !important; grid-auto-rows: auto; gap: .5rem;
  padding-top: 1.6rem;
}
#gallery .grid-wrap { overflow: visible; height: auto; min-height: 0; max-height: none; }
#gallery .thumbnail-item { aspect-ratio: auto; height: auto; display: block; background: none; }
#gallery .thumbnail-item img { aspect-ratio: 1; height: auto; }
#gallery .caption-label {
  position: static; max-width: 100%; border: 0; background: none; padding: .15rem .2rem; text-align: center;
  font-size: .7rem; line-height: 1.2; white-space: normal;
}
#answers { min-height: 13rem; }
#answers .html-container, #answers .prose { padding: 0; }
#answers .muted, #head .muted { color: var(--body-text-color-subdued); }
#answers .asked { font-size: 1.05rem; margin: .2rem 0 .7rem; overflow-wrap: anywhere; }
#answers p.problem {
  border-left: 4px solid #c2410c; background: var(--block-background-fill); padding: .7rem 1rem; font-size: 1rem;
}
#answers .cards {
  display: grid; gap: .9rem; grid-template-columns: repeat(auto-fit, minmax(min(15.5rem, 100%), 1fr));
}
#answers .card {
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary); border-radius: 12px;
  padding: .9rem 1rem; min-width: 0;
}
#answers .card.base { border-style: dashed; }
#answers .card.off { opacity: .65; }
#answers h2 { margin: 0 0 .5rem; font-size: .95rem; font-weight: 600; overflow-wrap: anywhere; }
#answers p { margin: .3rem 0 0; font-size: .85rem; }
#answers p.answer {
  font-size: 1.15rem; line-height: 1.35; min-height: 3.1rem; margin: 0 0 .4rem; overflow-wrap: anywhere;
  white-space: pre-wrap;
}
#answers p.verdict { font-size: .92rem; font-weight: 600; display: flex; align-items: center; gap: .45rem; }
#answers .verdict span { flex: none; width: .7rem; height: .7rem; border-radius: 50%; border: 2px solid #16803c; }
#answers .verdict.open span { background: #c2410c; border-color: #c2410c; }
#answers .gate { margin: .7rem 0 .1rem; font-size: .78rem; font-variant-numeric: tabular-nums; }
#answers .score, #answers .bounds { position: relative; height: 1.25rem; }
#answers .score span { position: absolute; white-space: nowrap; font-weight: 600; }
#answers .track {
  position: relative; height: .7rem; border-radius: .35rem; background: var(--border-color-primary); overflow: visible;
}
#answers .track i { position: absolute; top: 0; bottom: 0; }
#answers .ramp { background: linear-gradient(to right, transparent, #ea8a4f); }
#answers .full { right: 0; background: #ea8a4f; border-radius: 0 .35rem .35rem 0; }
#answers .mark { width: 2px; margin-left: -1px; background: var(--body-text-color-subdued); top: -2px; bottom: -5px; }
#answers .track .pin {
  width: .85rem; height: .85rem; top: -.075rem; margin-left: -.425rem; border-radius: 50%;
  background: var(--body-text-color); border: 2px solid var(--block-background-fill); box-sizing: content-box;
}
#answers .bounds span { position: absolute; top: .3rem; white-space: nowrap; color: var(--body-text-color-subdued); }
#answers .bounds .low { padding-right: .3rem; }
#answers .bounds .high { padding-left: .3rem; }
#answers details { margin-top: .5rem; font-size: .85rem; }
#answers summary { cursor: pointer; }
"""
