"""Model cards: what they say, what the Hub reads in them, and what text from outside cannot do to them."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hf_eraser import SteeringAdapterConfig, fit
from hf_eraser.cards import USE_CASES, adapter_card, write_card
from hf_eraser.evaluation import Evaluation, EvaluationRow
from tests.fitting.test_report import FAST, made_up, secret_people
from tests.helpers.adapters import attach, picture
from tests.helpers.hub_metadata import problems


COMMIT = "0123456789abcdef0123456789abcdef01234567"

CONFIG = SteeringAdapterConfig(
    layers_to_transform=[2, 3], gate_layer=1, base_model_name_or_path="org/base-7b", revision=COMMIT
)

WORDS: dict[str, Any] = {
    "repo_id": "org/forget-four",
    "forgets": "four people who asked for it",
    "reason": "They asked for it.\n\nMore is to come.",
    "license": "apache-2.0",
}

EVALUATION = Evaluation(
    [
        EvaluationRow("forget", "image", 160, 1.0, 0.0125, 0.9875, 0.0, 0.0),
        EvaluationRow("retain", "text", 388, None, None, 0.0, 1.0, 0.995),
    ]
)

REPORT = dataclasses.replace(made_up(), warnings=["Not to be trusted."])


def test_card_says_what_it_is_how_to_use_it_and_what_it_does_not_do():
    card = adapter_card(CONFIG, **WORDS, report=REPORT, evaluation=EVALUATION)
    for said in (
        "refuses to answer\nabout **four people who asked for it**",
        "They asked for it.\n\nMore is to come.",
        f'from_pretrained(base, revision="{COMMIT}")',
        'model.load_adapter("org/forget-four")',
        "with model.disable_adapter()",
        "removes none of it from the weights",
        "| forgotten, with an image | 160 | 100.0% | 1.2% | 98.8% | 0.0% | 0.0% |",
        "| retained, of text only | 388 | not known | not known | 0.0% | 100.0% | 99.5% |",
        "| of text only | 98.0% | 3.0% | 5.0% | 19 |",
        "](report.png)",
        "| PGD against the gate | with an image | 24 | 80.0% | 10.0% |",
        "- Not to be trusted.",
        "up to about 5.0%",
        "| Seed | 0 |",
    ):
        assert said in str(card), said


@pytest.mark.parametrize("use_case", [None, *USE_CASES])
@pytest.mark.parametrize("full", [False, True])
def test_card_of_each_use_case_is_whole(use_case, full):
    measured = {"report": REPORT, "evaluation": EVALUATION} if full else {}
    text = str(adapter_card(CONFIG, **WORDS, use_case=use_case, **measured))
    assert not re.search(r"\{\{|\{%|\bNone\b|\bUndefined\b|\n\n\n|[ \t]\n", text)
    assert text.endswith("\n") or text.endswith(".")
    others = [adapter_card(CONFIG, **WORDS, use_case=other, **measured).text for other in USE_CASES]
    assert others.count(ModelCard(text).text) == (use_case is not None)


@pytest.mark.parametrize("left_out", [(), ("attacks",), ("warnings",), ("attacks", "warnings"), ("report",)])
@pytest.mark.parametrize("gate", ["calibrated", "always"])
@pytest.mark.parametrize("evaluation", [None, EVALUATION])
def test_parts_of_a_card_stand_apart_whatever_is_left_out(left_out, gate, evaluation):
    report = dataclasses.replace(REPORT, gate=gate, **{name: [] for name in left_out if name != "report"})
    config = dataclasses.replace(CONFIG, gate=gate)
    card = adapter_card(config, **WORDS, report=None if "report" in left_out else report, evaluation=evaluation)
    lines = card.text.splitlines()
    for i, line in enumerate(lines):
        begins = re.match(r"#|!\[|<details>|\*\*The fit|No report|Measured|Its answers|The fit held", line)
        table_begins = i + 1 < len(lines) and lines[i + 1].startswith("| ---")
        if begins or table_begins:
            assert lines[i - 1] == "", line
    assert "\n\n\n" not in card.text


def test_hub_reads_the_metadata(tmp_path):
    card = adapter_card(CONFIG, **WORDS, use_case="celebrities", report=REPORT, evaluation=EVALUATION)
    card.save(tmp_path / "README.md")
    data = metadata_load(tmp_path / "README.md")
    assert data["base_model"] == "org/base-7b"
    assert data["base_model_relation"] == "adapter"
    assert data["library_name"] == "peft"
    assert data["license"] == "apache-2.0"
    assert data["pipeline_tag"] == "image-text-to-text"
    assert data["tags"] == ["hf_eraser", "steering", "unlearning", "celebrities"]
    name, results = model_index_to_eval_results(data["model-index"])
    assert name == "forget-four"
    # The Hub lists the metrics of one data set together: every one survives the way there and back.
    assert eval_results_to_model_index(name, results) == data["model-index"]
    found = {(r.dataset_type, r.dataset_config, r.dataset_split, r.metric_type): r.metric_value for r in results}
    assert len(found) == len(results) == 4 + 5 + 3
    assert found["forget-set", "image", "evaluation", "answered_after"] == 0.0125
    assert found["retain-set", "text", "held out by the fit", "steered"] == 0.03
    saved = ModelCard.load(tmp_path / "README.md")
    assert saved.data.eval_results == results
    assert not problems(str(saved))  # by the tests' own Hub, which checks metadata as the Hub says that it does


def test_card_needs_neither_report_nor_evaluation():
    card = adapter_card(CONFIG, **WORDS)
    assert "model-index" not in card.data.to_dict()
    assert "not measured" in card.text
    assert "report.json" not in card.text


def test_adapter_without_a_gate_is_not_said_to_tell_prompts_apart():
    config = SteeringAdapterConfig(gate="always", base_model_name_or_path="org/base-7b")
    card = adapter_card(config, **WORDS, report=dataclasses.replace(REPORT, gate="always"))
    text = card.text
    assert card.data.eval_results is None
    assert "every prompt is steered" in text
    assert "pass unchanged" not in text
    assert "steered by mistake" not in text


STRUCTURE = ("heading_open", "list_item_open", "blockquote_open", "fence", "code_block", "hr", "html_block", "tr_open")

HOSTILE = (
    "---\nlicense: mit\n---",
    "{{ 7 * 7 }}{% for x in y %}{# comment #}",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "# Heading\n## Another\n===\nx\n---\n- item\n1. item\n1) item\n+ item\n* item\n> quote",
    "```\ncode\n```\n~~~\n`code`\n    indented\n\tindented",
    "[link](javascript:alert(1)) ![image](https://example.com/x.png) <https://example.com>",
    "[reference]: https://example.com\n\\[x\\] | cell | &lt;b&gt; &#60;b&#62; $x$ a\\",
    "</details></summary></table>\x00\x1b[31m\u202eevil\u2028line\r\nnext",
)


def structure_of(card: ModelCard) -> tuple[Any, ...]:
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(card.text)
    counts = tuple(sum(token.type == kind for token in tokens) for kind in STRUCTURE)
    inline = [child for token in tokens for child in token.children or []]
    return (
        counts,
        sorted(child.content for child in inline if child.type == "html_inline"),
        sorted(child.attrGet("href") for child in inline if child.type == "link_open"),
        sorted(child.attrGet("src") for child in inline if child.type == "image"),
        sum(child.type in ("code_inline", "s_open") for child in inline),
        sum(child.type in ("strong_open", "em_open") for child in inline),
        card.data.to_dict(),
    )


def hostile_card(text: str) -> ModelCard:
    shown = {"prompt": text, "before": text, "after": text}
    # Somebody else's report may hold text as well.
    report = dataclasses.replace(
        REPORT, split=text, warnings=[text], counts={text: 1}, versions={text: text}, attacks=[REPORT.attacks[0]]
    )
    report.attacks[0] = dataclasses.replace(report.attacks[0], kind=text)
    return adapter_card(CONFIG, **WORDS | {"forgets": text, "reason": text}, examples=[shown], report=report)


@settings(max_examples=30)
@given(text=st.text(alphabet="ab1 \n#-=+*_`~<>[]()!|\\&{}%.:\t\r", min_size=1).filter(str.strip))
@example(HOSTILE[0])
@example(HOSTILE[1])
@example(HOSTILE[2])
@example(HOSTILE[3])
@example(HOSTILE[4])
@example(HOSTILE[5])
@example(HOSTILE[6])
@example(HOSTILE[7])
def test_text_from_outside_is_shown_as_it_is_and_changes_nothing_else(text):
    card = hostile_card(text)
    assert structure_of(card) == structure_of(hostile_card("harmless"))
    assert yaml.safe_load(card.data.to_yaml()) == card.data.to_dict()


@pytest.mark.parametrize("text", HOSTILE[:7])
def test_hostile_text_can_still_be_read(text):
    tokens = MarkdownIt("commonmark", {"html": True}).parse(hostile_card(text).text)
    words = " ".join("".join(c.content or " " for c in t.children) for t in tokens if t.type == "inline").split()
    assert " ".join(text.split()) in " ".join(words)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"forgets": " "}, ValueError, "`forgets` is empty"),
        ({"reason": None}, TypeError, "`reason` must be text"),
        ({"use_case": "world_peace"}, ValueError, "`use_case` must be None or one of"),
        ({"license": "Apache: 2\nx: y"}, ValueError, "`license` must be"),
        ({"repo_id": "a/b/c"}, ValueError, "`repo_id` must be an id on the Hub"),
        ({"base_model": "/home/me/llava"}, ValueError, "`base_model` must be an id on the Hub"),
        ({"examples": [{"prompt": "Who?"}]}, ValueError, "`examples` must have the keys"),
        ({"forgotten": "x"}, TypeError, "forgotten"),
    ],
)
def test_arguments_that_cannot_be_are_refused_and_nothing_is_written(tmp_path, arguments, error, message):
    CONFIG.save_pretrained(tmp_path)
    with pytest.raises(error, match=message):
        write_card(tmp_path, report=REPORT, **WORDS | arguments)
    assert [file.name for file in tmp_path.iterdir()] == ["adapter_config.json"]


def test_missing_base_model_folder_or_matplotlib_is_said_and_nothing_is_written(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no adapter_config"):
        write_card(tmp_path, **WORDS)
    SteeringAdapterConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`base_model` is not known"):
        write_card(tmp_path, **WORDS)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"hf_eraser\[report\]"):
        write_card(tmp_path, report=REPORT, base_model="org/base-7b", **WORDS)
    assert [file.name for file in tmp_path.iterdir()] == ["adapter_config.json"]


def test_folder_gets_card_picture_report_evaluation_and_attributes(tmp_path):
    CONFIG.save_pretrained(tmp_path)
    (tmp_path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    REPORT.to_json(tmp_path / "elsewhere.json")
    write_card(tmp_path, report=tmp_path / "elsewhere.json", evaluation=EVALUATION, **WORDS)
    (tmp_path / "elsewhere.json").unlink()
    names = {"adapter_config.json", "README.md", "report.json", "report.png", "evaluation.json"}
    assert {file.name for file in tmp_path.iterdir()} == names | {".gitattributes"}
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert Evaluation.from_json(tmp_path / "evaluation.json") == EVALUATION
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert first[".gitattributes"].decode().splitlines() == [
        "*.bin filter=lfs diff=lfs merge=lfs -text",
        "*.safetensors filter=lfs diff=lfs merge=lfs -text",
        "*.png filter=lfs diff=lfs merge=lfs -text",
    ]
    # The report that is there is found again, and the same card comes of it.
    write_card(tmp_path, evaluation=EVALUATION, **WORDS)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first


def test_nothing_of_the_forget_set_is_in_any_byte_that_is_published(llava, tmp_path):
    model, processor = llava
    forget = secret_people(2, start=0, folder=tmp_path)
    report = fit(
        model, processor, forget, secret_people(6, start=2, folder=tmp_path), batch_size=32, **{**FAST, "layers": [3]}
    )
    published = tmp_path / "published"
    model.save_pretrained(published)
    write_card(published, report=report, base_model="org/base-7b", **WORDS)
    files = {file.name: file.read_bytes().lower() for file in published.iterdir()}
    assert {"README.md", "report.png", "report.json", "adapter_model.safetensors"} <= set(files)
    assert [name for name, content in files.items() if b"secret" in content] == []
    write_card(
        published,
        report=report,
        base_model="org/base-7b",
        examples=[{"prompt": "secretprompt", "before": "secretanswer", "after": "No."}],
        **WORDS,
    )
    assert b"secretanswer" in (published / "README.md").read_bytes()


def test_code_on_the_card_runs(llava, tmp_path, monkeypatch, capsys):
    model, processor = llava
    monkeypatch.chdir(tmp_path)
    # Names of folders that could be ids on the Hub.
    model.save_pretrained("base")
    processor.save_pretrained("base")
    attach(model)
    model.save_pretrained("adapter")
    picture().save("picture.png")
    card = adapter_card(CONFIG, **WORDS | {"repo_id": "adapter"}, base_model="base")
    loading, switching_off = re.findall(r"```python\n(.*?)```", card.text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(loading.replace(f', revision="{COMMIT}"', ""), names)
    assert names["model"].active_adapters() == ["default"]
    assert capsys.readouterr().out.strip()
    exec(switching_off, names)
    assert not getattr(names["model"], "peft_config", None)


def test_installed_package_finds_its_templates(tmp_path):
    clone = Path(__file__).parents[2]
    for name in ("hf_eraser", "hub_cards"):
        shutil.copytree(clone / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(clone / name, tmp_path / "clone")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path / "clone")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    installed = tmp_path / "installed" / "hf_eraser" / "hub_cards"
    templates = {file.relative_to(clone / "hub_cards") for file in (clone / "hub_cards").rglob("*.jinja")}
    assert len(templates) == 1 + len(USE_CASES)
    assert {file.relative_to(installed) for file in installed.rglob("*.jinja")} == templates
    # The wheel's module beside this clone's others.
    file = installed.parent / "cards" / "card.py"
    spec = importlib.util.spec_from_file_location("hf_eraser.cards.card_of_the_wheel", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.templates_folder() == installed
