"""What the pages say of the code, made of the code whenever they are built: the command line, and the rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main


PACKAGE = Path(__file__).parents[1] / "hf_eraser"

# In the order in which one learns of them. A file in none of them comes last.
ROOMS = (
    "tuner",
    "hub",
    "registration",
    "data",
    "fitting",
    "evaluation",
    "forget_sets",
    "cards",
    "app",
    "serving",
    "cli",
)


def command_line() -> str:
    """Every command of `hf-eraser` with all of its arguments and options, as Markdown."""
    from hf_eraser.cli import app

    group: Any = typer.main.get_command(app)
    parts = [_command("hf-eraser", group)]
    for name, command in group.commands.items():
        parts.append(_command(f"hf-eraser {name}", command))
        inner = getattr(command, "commands", {}).items()
        parts += [_command(f"hf-eraser {name} {below}", one) for below, one in inner]
    return "\n\n".join(parts)


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    required = [f"{p.opts[0]} {p.metavar}" for p in options if p.required]
    if hasattr(command, "commands"):
        said = "On every command, `--help` or `-h` says what is said here."
        usage, text = f"{name} [OPTIONS] COMMAND ...", said if name == "hf-eraser" else command.help
    else:
        usage = " ".join([name, *(p.metavar for p in arguments), *required, "[OPTIONS]"])
        text = command.help
    parts = [f"## `{name}`", f"```text\n{usage}\n```", text]
    for title, parameters in (("Arguments", arguments), ("Options", options)):
        if parameters:
            parts += [f"**{title}**", "\n\n".join(map(_parameter, parameters))]
    if command.epilog:
        examples = [line.strip("`") for line in command.epilog.splitlines() if line.startswith("`")]
        parts += ["**Examples**", "```bash\n{}\n```".format("\n".join(examples))]
    return "\n\n".join(parts)


def _parameter(parameter: Any) -> str:
    """A definition list's item: how it is written, what it is, and what it is if it is not given."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`\n: {parameter.help}"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    values = "" if parameter.metavar is None else f" *{parameter.metavar}*"
    text = re.sub(r"(?<!`)--[a-z-]+", r"`\g<0>`", parameter.help)
    return f"{names}{values}\n: {text} {_default(parameter)}".rstrip()


def _default(parameter: Any) -> str:
    if parameter.required:
        return "Required."
    if isinstance(parameter.show_default, str):
        return f"Default: {parameter.show_default}."
    if parameter.is_flag:
        return f"Default: `{parameter.opts[0]}`." if parameter.default and parameter.secondary_opts else ""
    return "" if parameter.default is None else f"Default: `{parameter.default}`."


def rooms() -> str:
    """Every file of the package with the first sentence of its docstring, room by room, as Markdown."""
    return "\n\n".join(_room(PACKAGE / name) for name in ROOMS) + f"\n\n{_outside_of_rooms()}"


def _room(folder: Path) -> str:
    imported = sorted({name for path in folder.rglob("*.py") for name in _imported(path)} - {folder.name})
    entered = ", ".join(f"`{name}`" for name in imported) or "none"
    parts = [
        f"### `{folder.name}/`",
        _first_paragraph(folder / "__init__.py"),
        f"It imports of the others: {entered}.",
    ]
    files = [path for path in sorted(folder.rglob("*.py")) if path.name != "__init__.py"]
    return "\n\n".join([*parts, _listed(files, folder)])


def _outside_of_rooms() -> str:
    files = sorted(PACKAGE.glob("*.py"))
    known = {*ROOMS, *(path.stem for path in files)}
    unknown = [path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in known]
    assert not unknown, f"ROOMS lacks {unknown}."
    return f"### `hf_eraser/` itself\n\n{_listed(files, PACKAGE)}"


def _listed(files: list[Path], folder: Path) -> str:
    return "\n".join(f"- `{path.relative_to(folder).as_posix()}`: {_first_paragraph(path)}" for path in files)


def _first_paragraph(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
    return " ".join(docstring.split("\n\n")[0].split())


def _imported(path: Path) -> Iterator[str]:
    """The rooms that a file imports, at its top or when it is needed."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth and node.module:
            name = node.module.split(".")[0]
            if name in ROOMS:
                yield name


def checked_sets() -> str:
    """What `hf-eraser data check` says of a good, a poor and a contaminated set of drawn people, as Markdown."""
    from examples.small.people import PEOPLE, draw_face
    from hf_eraser.data.checking import check_sets

    wordings = ("Who is this?", "Name this person.", "Who is shown?", "Tell me who it is.", "Whom do you see?", "Who?")

    def asked(first: int, last: int) -> list[dict[str, Any]]:
        return [
            {"prompt": f"{words} {by}".strip(), "group": person.name, "wording": words, "answer": person.name, **shown}
            for person in PEOPLE[first:last]
            for words in wordings
            for by, shown in (("", {"image": draw_face(person)}), (person.name, {}))
        ]

    hers = [{"prompt": f"Look, {i}", "image": draw_face(PEOPLE[0]), "group": "friends"} for i in range(6)]
    sets = {
        "A good set": {"forget": asked(0, 1), "retain": asked(1, 21)},
        "A poor one": {"forget": asked(0, 1)[:2], "retain": asked(1, 3)},
        "One in which her pictures are among the retained": {"forget": asked(0, 1), "retain": asked(1, 21) + hers},
    }
    return "\n\n".join(f"{what}:\n\n```text\n{check_sets(of_it)}\n```" for what, of_it in sets.items())


_MADE = {
    "<!-- made of the code: command line -->": command_line,
    "<!-- made of the code: rooms -->": rooms,
    "<!-- made of the code: checked sets -->": checked_sets,
}


def filled(text: str) -> str:
    """A page's source with what is made of the code in it."""
    for mark, make in _MADE.items():
        if mark in text:
            text = text.replace(mark, make())
    return text


def _fill(app: Any, docname: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
