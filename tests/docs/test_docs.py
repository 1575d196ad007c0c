"""The documentation says what is so: its code runs, its commands are there, its links lead somewhere."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import io
import json
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer.main
from peft import PeftConfig

import hf_eraser
from hf_eraser import SteeringAdapterConfig
from hf_eraser.cli import app
from hf_eraser.hub.validation import steering_config
from tests.docs.pages import (
    DOCS,
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks,
    filled,
    generated,
    links,
    name_of,
    prepared,
    words_in_code,
)


PACKAGE = ROOT / "hf_eraser"
# Its blocks are sketches of what PEFT and transformers might become: parts of functions, with `...` for the rest.
SKETCHES = DOCS / "inside" / "patches.md"

COMMANDS = typer.main.get_command(app).commands

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def pages_in(language: str) -> Any:
    """Parametrizes a test with the pages that have blocks in a language."""
    pages = [page for page in PAGES if page != SKETCHES and blocks(page, language)]
    return pytest.mark.parametrize("page", pages, ids=name_of)


@pages_in("python")
def test_the_python_of_a_page_runs_from_its_first_block_to_its_last(page, workplace):
    namespace = {"__name__": page.stem, **workplace.names(prepared(page))}
    for block in blocks(page, "python"):
        tree = ast.increment_lineno(ast.parse(block.code), block.line - 1)
        if block.not_run or _has_gaps(tree):
            _check_unrun(tree, namespace)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(tree, name_of(page), "exec"), namespace)
        promised = re.findall(r"# prints: (.*)", block.code)
        if promised:
            assert printed.getvalue().splitlines() == promised, f"{name_of(page)}:{block.line}"


def _has_gaps(tree: ast.Module) -> bool:
    """Whether a `...` stands where a reader is to put a value; as a statement it does nothing, and can run."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    values = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value is ...]
    return any(id(node) not in statements for node in values)


def _check_unrun(tree: ast.Module, namespace: dict[str, Any]) -> None:
    """What can be said of code that cannot run: its imports are there, and calls of them have those arguments."""
    known = dict(namespace)
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(ast.Module(imports, []), "imports", "exec"), known)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and callable(known.get(call.func.id)):
            keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
            inspect.signature(known[call.func.id]).bind_partial(**keywords)


@pages_in("json")
def test_json_of_a_page_is_json(page):
    for block in blocks(page, "json"):
        json.loads(block.code)


@pages_in("bash")
def test_the_commands_of_a_page_are_there_with_their_options(page, tmp_path, monkeypatch):
    (tmp_path / "forget-ada").mkdir()  # the one folder that pages call an adapter's
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "bash"):
        for line in block.code.replace("\\\n", " ").splitlines():
            _check_command(shlex.split(line, comments=True), block, whole=True)


@every_page
def test_commands_in_a_page_s_text_are_there_with_their_options(page):
    for text in words_in_code(page):
        if re.match(r"(hf-eraser|python -m|make|pip install) \w", text):
            _check_command(shlex.split(text), Block(page, 0, "text", text, None), whole=False)


def _check_command(words: list[str], block: Block, *, whole: bool) -> None:
    where = f"{name_of(block.page)}:{block.line}: {shlex.join(words)}"
    match words:
        case ["hf-eraser", name, *arguments]:
            if name in ("--help", "-h", "--version"):
                return
            assert name in COMMANDS, where
            _check_arguments(COMMANDS[name], arguments, where, whole=whole)
        case ["python", "-m", module, *_] if module != "pip":
            assert importlib.util.find_spec(module) is not None, where
        case ["make", target, *_]:
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert target in targets, where
        case ["pip", "install", *what]:
            known = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
            extras = {extra for text in what for names in re.findall(r"\[(.*)\]", text) for extra in names.split(",")}
            assert extras <= set(known), where


def _check_arguments(command: Any, arguments: list[str], where: str, *, whole: bool) -> None:
    """Raises what the command line would."""
    if whole:
        with command.make_context(where, arguments):
            return
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in arguments if word.startswith("-")} <= known, where


@every_page
def test_links_of_a_page_lead_to_files_and_headings_that_are_there(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


@every_page
def test_names_in_a_page_s_text_are_names_in_the_package(page):
    for text in words_in_code(page):
        if re.fullmatch(r"hf_eraser(\.\w+)+", text):
            _resolved(text)


def _resolved(name: str) -> Any:
    """What a dotted name is of: a module, or what is in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(".".join(parts[:length]))
            break
    for part in parts[length:]:
        found = getattr(found, part)
    return found


@every_page
def test_files_and_functions_in_a_page_s_text_are_there(page):
    for text in words_in_code(page):
        found = re.fullmatch(r"(\w[\w/]*/\w+\.py)(?::([\w.]+))?", text)
        near = [folder for folder in (ROOT, PACKAGE, PACKAGE / "fitting") if (folder / text.split("/")[0]).is_dir()]
        if found and near:  # else it is a file of another project's
            file, name = found.groups()
            paths = [folder / file for folder in near if (folder / file).is_file()]
            assert paths, text
            assert name is None or name in _defined(paths[0]), text


def _defined(path: Path) -> set[str]:
    """The functions, classes and methods of a file."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
            inside = node.body if isinstance(node, ast.ClassDef) else []
            found |= {f"{node.name}.{method.name}" for method in inside if isinstance(method, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("room", ["", ".fitting", ".tuner", ".data", ".evaluation", ".forget_sets", ".cards", ".app"])
def test_every_public_name_is_in_the_reference(room):
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    documented = {name.rpartition(".")[2] for name in re.findall(r"\.\. auto\w+:: (hf_eraser\.[\w.]+)", pages)}
    public = set(importlib.import_module(f"hf_eraser{room}").__all__) - {"__version__"}
    assert public <= documented


def test_the_page_of_the_command_line_has_every_option():
    page = filled(DOCS / "how_to" / "command_line.md")
    for name, command in COMMANDS.items():
        section = page.split(f"## `hf-eraser {name}`")[1].split("\n## ")[0]
        for parameter in command.params:
            written = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]
            assert all(f"`{text}`" in section for text in written), (name, parameter.name)


def test_the_page_of_rooms_has_every_file():
    listed = generated.rooms().count("\n- ")
    inits = list(PACKAGE.glob("*/**/__init__.py"))
    assert listed + len(inits) == len(list(PACKAGE.rglob("*.py")))


def test_the_page_of_the_file_format_has_every_key_and_a_configuration_that_loads():
    page = DOCS / "inside" / "file_format.md"
    own = {field.name for field in dataclasses.fields(SteeringAdapterConfig)}
    keys = own - {field.name for field in dataclasses.fields(PeftConfig)}
    assert keys <= set(words_in_code(page))
    values = json.loads(blocks(page, "json")[0].code)
    assert set(values) == own
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = steering_config(values, page, SteeringAdapterConfig)
    assert hf_eraser.SteeringAdapterConfig(**values) == config
