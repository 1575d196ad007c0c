"""That README and docs show no number but those of the result files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.experiments import EXPERIMENTS
from benchmarks.pages import PAGE, README, readme_block, results_page, with_block
from benchmarks.result import CONFIGURATIONS, RESULTS, Result, read_configuration, read_result, read_results


ROOT = README.parent

# What is measured is shown as a share, as a ratio or other decimal, or as a time.
_MEASURED = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?) ?%|(?<![\w.])(\d+\.\d{2,})(?![\w.])"
    r"|(?<![\w.])(\d+(?:\.\d+)?) (?:s|ms|seconds?|minutes?|hours?)\b"
)

_NUMBERED = "transformers|peft|torch|pytorch|accelerate|python|safetensors|gradio|arxiv|pillow|version"


def found() -> dict[str, dict[str, Result]]:
    return {name: results for name in EXPERIMENTS if (results := read_results(name))}


def prose(text: str) -> str:
    """The text without what `python -m benchmarks pages` writes, without code, links, versions and papers' numbers."""
    text = re.sub(r"<!-- results:.*?<!-- end of results -->", "", text, flags=re.DOTALL)
    text = re.sub(r"^(```+|~~~+|:::+).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(rf"\b(?:{_NUMBERED}) \(?\d[\d.]*", "", text, flags=re.IGNORECASE)


def shown(text: str) -> list[str]:
    """The measured numbers in a text."""
    return [next(group for group in match.groups() if group) for match in _MEASURED.finditer(prose(text))]


# They take a GPU, or many hours, and have not been run to their end yet.
_UNMEASURED = {"capitals", "cost", "sizes"}


def test_every_experiment_has_a_configuration_and_a_result_of_each_of_its_models():
    assert {path.stem for path in CONFIGURATIONS.glob("*.json")} == set(EXPERIMENTS)
    for name in EXPERIMENTS.keys() - _UNMEASURED:
        configuration = read_configuration(name)
        models = configuration.pop("models")
        results = read_results(name)
        assert sorted(results) == sorted(models)
        for result in results.values():
            assert result.configuration == configuration
            assert result.command == f"python -m benchmarks run {name} --models {result.model}"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_result_says_with_what_it_was_measured(path):
    result = read_result(path)
    assert path.stem == f"{result.experiment}-{result.model}"
    assert re.fullmatch(r"[0-9a-f]{12}", result.commit)
    assert {"torch", "transformers", "peft", "python"} <= set(result.versions)
    assert set(result.machine) - {"accelerator"} == {"processor", "cores", "threads", "system"}


def test_page_of_results_is_what_the_results_make():
    assert PAGE.read_text(encoding="utf-8") == results_page(found())


def test_readme_s_table_is_what_the_results_make():
    text = README.read_text(encoding="utf-8")
    assert text == with_block(text, readme_block(found()))


@pytest.mark.parametrize(
    "page",
    [README, *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path != PAGE and "_build" not in path.parts)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_number_is_shown_but_by_what_the_results_make(page):
    assert shown(page.read_text(encoding="utf-8")) == []


def test_a_number_that_somebody_wrote_is_found():
    assert shown("It forgets 97.3% and costs 1.234 times as much, in 7 minutes.") == ["97.3", "1.234", "7"]
    assert shown("`alpha=0.05`, 4 people, transformers 5.23, [x](a-0.123), and\n```\n97.3%\n```\n") == []


def test_a_text_without_just_one_block_is_refused():
    with pytest.raises(ValueError, match="it has 0"):
        with_block("# No block", "table")


def test_a_file_that_is_no_result_is_refused(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"experiment": "x"}')
    with pytest.raises(TypeError):
        read_result(tmp_path / "x.json")
