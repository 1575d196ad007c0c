"""The command line: what each command does, prints and refuses, and what it costs to ask for help."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

import hf_eraser.forget_sets
from hf_eraser.cli import app
from hf_eraser.data import read_imagefolder
from hf_eraser.evaluation import Evaluation, evaluate
from hf_eraser.fitting import FitReport
from hf_eraser.forget_sets import Artist, Brand, Fact, NothingToForgetError, Person, Topic
from hf_eraser.hub.adapter_folder import EVALUATION_FILE, PICTURE_FILE, REPORT_FILE
from hf_eraser.hub.inspection import inspect_adapter
from tests.conftest import built
from tests.fitting.test_fit import people
from tests.helpers.imagefolder import write_imagefolder


FAST = ["--layers", "3,4", "--gate-layer", "2", "--strength", "1", "--no-attacks", "--no-general"]
FAST += ["--prefer", "retain", "--batch-size", "32"]


def run(*arguments: object, code: int = 0):
    """Run a command in this process; its result, after its exit code or exception was compared."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if code == 1:
        assert isinstance(result.exception, Exception), result.output
    else:
        assert result.exit_code == code, (result.output, result.exception)
    return result


def start(*arguments: object, code: str | None = None, **environment: str) -> subprocess.Popen[str]:
    """Run the command line in a process of its own, without a Hub."""
    return subprocess.Popen(
        [sys.executable, *(["-m", "hf_eraser.cli"] if code is None else ["-c", code]), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", **environment},
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base model that was not taught anything, examples, and an adapter, as `hf-eraser fit` made it."""
    folder = tmp_path_factory.mktemp("cli")
    model, processor = built("llava")
    model.save_pretrained(folder / "base")
    processor.save_pretrained(folder / "base")
    text = [{"prompt": f"What is the {word} of France?", "group": word} for word in ("flag", "capital", "language")]
    write_imagefolder(folder / "data", {"forget": people(2), "retain": [*people(6, start=2), *text]})
    result = run("fit", folder / "base", folder / "data", "--output", folder / "adapter", *FAST)
    (folder / "fit.txt").write_text(result.stdout)
    return folder


@pytest.fixture
def adapter(folders, tmp_path):
    """A copy of the adapter, to change."""
    return shutil.copytree(folders / "adapter", tmp_path / "forget-people")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_fit_saves_an_adapter_with_its_report_and_prints_it(folders):
    adapter = folders / "adapter"
    assert {"adapter_config.json", "adapter_model.safetensors", REPORT_FILE, PICTURE_FILE} <= set(contents(adapter))
    report = FitReport.from_json(adapter / REPORT_FILE)
    printed = (folders / "fit.txt").read_text()
    assert str(report) in printed
    assert f"Saved to {adapter}" in printed
    assert (report.layers, report.gate_layer, report.strength) == ([3, 4], 2, 1.0)
    assert {attack.kind for attack in report.attacks} == {"none"}
    model = AutoModelForImageTextToText.from_pretrained(folders / "base")
    model.load_adapter(str(adapter))
    assert model.active_adapters() == ["default"]


def test_fit_launched_as_two_processes_writes_what_one_does_once(folders, tmp_path):
    launcher = (
        "import runpy, sys; sys.argv[0] = 'accelerate'; "
        "runpy.run_module('accelerate.commands.launch', run_name='__main__')"
    )
    launch = ["--cpu", "--num_processes", 2, "--num_machines", 1, "--mixed_precision", "no", "--main_process_port", 0]
    command = ["fit", folders / "base", folders / "data", "-o", tmp_path / "adapter", *FAST]
    process = start(*launch, "-m", "hf_eraser.cli", *command, code=launcher, OMP_NUM_THREADS="1")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.count(f"Saved to {tmp_path / 'adapter'}") == 1
    expected = load_file(folders / "adapter" / "adapter_model.safetensors")
    found = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        # With other numbers of threads, the last bits differ.
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-3)


def test_fit_replaces_an_adapter_only_when_told_and_other_files_never(folders, adapter):
    before = contents(adapter)
    # The base model is never looked for: nothing is begun that cannot be saved.
    result = run("fit", "nowhere", folders / "data", "-o", adapter, code=1)
    assert "holds an adapter already" in str(result.exception)
    assert contents(adapter) == before
    result = run("fit", "nowhere", folders / "data", "-o", folders / "data", "--overwrite", code=1)
    assert "holds files, and no adapter" in str(result.exception)
    (adapter / EVALUATION_FILE).write_text("of the old adapter")
    with pytest.warns(UserWarning, match=r"still holds \['evaluation.json'\]"):
        run("fit", folders / "base", folders / "data", "-o", adapter, *FAST, "--seed", 1, "--overwrite")
    assert FitReport.from_json(adapter / REPORT_FILE).seed == 1
    assert inspect_adapter(adapter).config.layers_to_transform == [3, 4]


def test_eval_prints_what_evaluate_finds_and_writes_it(folders, tmp_path):
    given = folders / "base", folders / "adapter", folders / "data"
    result = run("eval", *given, "--json", tmp_path / "evaluation.json", "--max-new-tokens", 3)
    model = AutoModelForImageTextToText.from_pretrained(folders / "base")
    model.load_adapter(str(folders / "adapter"))
    sets = read_imagefolder(folders / "data")
    evaluation = evaluate(model, built("llava")[1], sets["forget"], sets["retain"], max_new_tokens=3)
    assert Evaluation.from_json(tmp_path / "evaluation.json") == evaluation
    assert str(evaluation) in result.stdout
    assert [row.count for row in evaluation.rows] == [8, 24, 3]
    # What takes minutes is not begun where its result could not be written, or without an adapter.
    assert "no folder" in str(run("eval", *given, "--json", tmp_path / "no" / "file", code=1).exception)
    assert "no folder 'nothing'" in str(run("eval", given[0], "nothing", given[2], code=1).exception)


def test_inspect_says_where_a_model_would_be_steered_without_its_weights(folders, tmp_path):
    (tmp_path / "config-only").mkdir()
    shutil.copy(folders / "base" / "config.json", tmp_path / "config-only")
    printed = run("inspect", folders / "adapter", "--model", tmp_path / "config-only").stdout
    assert "layers 3, 4 at strength 1" in printed
    assert "fits LlavaForConditionalGeneration" in printed
    roles = [line.split() for line in printed.splitlines() if " model.language_model.layers." in line]
    assert roles == [
        ["read", "model.language_model.layers.2"],
        ["steered", "model.language_model.layers.3"],
        ["steered", "model.language_model.layers.4"],
    ]
    saved = load_file(folders / "adapter" / "adapter_model.safetensors")
    assert {name.rpartition(".")[2] for name in saved} == {
        "steering_gate_bounds",
        "steering_gate_weight",
        "steering_direction",
    }
    for name, tensor in saved.items():
        size = tensor.numel() * tensor.element_size()
        assert any(name in line and f" {size:,d} bytes" in line for line in printed.splitlines())
    config = json.loads((tmp_path / "config-only" / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 5
    (tmp_path / "config-only" / "config.json").write_text(json.dumps(config))
    result = run("inspect", folders / "adapter", "--model", tmp_path / "config-only", code=1)
    assert "num_hidden_layers" in str(result.exception)


def test_inspect_without_an_adapter_says_whether_and_how_one_attaches_to_a_model(folders, tmp_path):
    (tmp_path / "config-only").mkdir()
    shutil.copy(folders / "base" / "config.json", tmp_path / "config-only")
    printed = run("inspect", "--model", tmp_path / "config-only").stdout
    assert "steering adapters attach to LlavaForConditionalGeneration" in printed
    assert "6, model.language_model.layers.0 to model.language_model.layers.5, 160 wide" in printed
    assert "Give ADAPTER, `--model`, or both." in run("inspect", code=2).stderr


def test_inspect_tells_the_bounds_of_each_modality(folders):
    inspection = inspect_adapter(folders / "adapter")
    (bounds,) = inspection.bounds.values()
    low, high = bounds[0, 0].tolist()
    printed = run("inspect", folders / "adapter").stdout
    assert f"with image: opens from a score of {low:.4g}, fully from {high:.4g}" in printed
    assert "text only:  opens never" in printed  # there were no forget examples without a picture
    assert "fits" not in printed


def test_push_publishes_the_adapter_s_files_in_one_commit(hub, adapter):
    (adapter / "README.md").write_text("---\nlicense: other\n---\nForgets people.\n")
    with pytest.warns(UserWarning, match="is not published"):
        result = run("push", adapter, "org/forget", "--token", hub.token, "--message", "Forget", "--revision", "v2")
    assert result.stdout.startswith(f"{hub.url}/org/forget/commit/")
    published = hub.files("org/forget", "v2")
    assert published.keys() - {".gitattributes"} == set(contents(adapter)) - {".gitattributes"}
    assert published["adapter_model.safetensors"] == (adapter / "adapter_model.safetensors").read_bytes()
    assert hub.commit("org/forget", "v2").title == "Forget"
    assert str(adapter.parent).encode() not in b"".join(published.values())


@pytest.mark.parametrize("stray", ["ada.jpg", "metadata.jsonl", "forget/ada.jpg", "pytorch_model.bin", ".env"])
def test_push_sends_nothing_of_a_folder_that_holds_anything_else(hub, adapter, stray):
    (adapter / stray).parent.mkdir(exist_ok=True)
    (adapter / stray).write_bytes(b"secret")
    result = run("push", adapter, "org/forget", "--token", hub.token, code=1)
    assert stray.split("/")[0] in str(result.exception)
    assert ("pickle" in str(result.exception)) == stray.endswith(".bin")
    assert not hub.state.requests


def test_push_never_publishes_what_was_to_be_private(hub, adapter):
    hub.put("org/forget", {"README.md": b"public"})
    with pytest.warns(UserWarning, match="is not published"):
        result = run("push", adapter, "org/forget", "--private", "--token", hub.token, code=1)
    assert "org/forget is a public repository: nothing was uploaded" in str(result.exception)
    assert hub.files("org/forget") == {"README.md": b"public"}
    with pytest.warns(UserWarning, match=r"has no README\.md"):
        run("push", adapter, "org/mine", "--private", "--token", hub.token)
    assert hub.repository("org/mine").private


def test_card_tells_what_is_forgotten_and_what_was_measured(adapter):
    row = {"set": "forget", "modality": "image", "count": 7, "answered_before": 1.0, "answered_after": 0.125}
    row |= {"refused": 0.875, "same_text": 0.0, "same_logits": 0.0}
    (adapter / EVALUATION_FILE).write_text(json.dumps({"rows": [row]}))
    told = ["--forgets", "Two people of no name", "--why", "They asked for it", "--use-case", "private_person"]
    result = run("card", adapter, *told, "--repo-id", "org/forget", "--base-model", "org/base")
    assert result.stdout == f"Wrote {adapter / 'README.md'}\n"
    card = (adapter / "README.md").read_text()
    assert all(text in card for text in ("Two people of no name", "They asked for it", "org/forget", "12.5%"))
    assert "What is the pet of this person?" not in card
    run("card", adapter, *told[:4], "--use-case", "nothing", code=2)


def test_help_and_version_wait_for_no_torch():
    check = """
import runpy, sys
sys.orig_argv = [sys.executable, "-m", "hf_eraser.cli"]
try:
    runpy.run_module("hf_eraser.cli", run_name="__main__", alter_sys=True)
except SystemExit as end:
    print(end.code, sorted({"torch", "transformers", "peft", "numpy"} & sys.modules.keys()))
"""
    for arguments in (["--help"], ["--version"], ["fit", "--help"], ["nothing"]):
        out, _ = start(*arguments, code=check).communicate()
        assert out.splitlines()[-1] == f"{2 if arguments == ['nothing'] else 0} []"


def test_importing_the_package_registers_as_ever():
    out, _ = start(code="import hf_eraser, peft; print('STEERING' in peft.PeftType.__members__)").communicate()
    assert out == "True\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--version"], 0, "hf-eraser "),
        (["fit", "--help"], 0, "Examples"),
        ([], 2, "Usage"),
        (["nothing"], 2, "No such command"),
        (["fit", "model", "data"], 2, "Missing option '--output'"),
        (["fit", "model", "data", "-o", "x", "--alpha", "1"], 2, "must be between 0 and 1"),
        (["fit", "model", "data", "-o", "x", "--layers", "three"], 2, "must be layer numbers"),
        (["fit", "model", "data", "-o", "x", "--dtype", "int8"], 2, "is not one of"),
        (["push", "nowhere", "org/x"], 2, "does not exist"),
        (["fit", "model", "nowhere", "-o", "x"], 1, "Error: There is no folder 'nowhere'"),
    ],
)
def test_exit_codes_and_messages(arguments, code, says):
    process = start(*arguments)
    out, err = process.communicate()
    assert process.returncode == code
    assert says in out + err
    assert "Traceback" not in err
    if code:
        assert out == "" or not arguments  # without arguments there is help
    if code == 1:
        assert len(err.splitlines()) == 1


def test_an_error_has_a_traceback_when_debugging():
    _, err = start("fit", "model", "nowhere", "-o", "x", HF_DEBUG="1").communicate()
    assert "Traceback" in err
    assert "FileNotFoundError" in err


# In a forward pass of a given number the fit says that it is there, and waits: it cannot end before it is interrupted,
# however fast it is. In the background of a shell that began the tests there, Python would ignore the signal.
INTERRUPTED = """
import itertools, signal, sys
import torch
import hf_eraser.cli

last, passes = int(sys.argv.pop(1)), itertools.count(1)

def wait(module, inputs):
    if type(module).__name__ == "LlavaModel" and next(passes) == last:
        print("fitting", flush=True)
        sys.stdin.read()
        sys.exit("was not interrupted")

torch.nn.modules.module.register_module_forward_pre_hook(wait)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "hf-eraser"
hf_eraser.cli.main()
"""


@pytest.mark.parametrize("last_pass", [30, 300], ids=["while reading", "while choosing strength"])
def test_an_interrupted_fit_exits_with_130_and_leaves_nothing(folders, tmp_path, last_pass):
    command = "fit", folders / "base", folders / "data", "-o", tmp_path / "adapter"
    process = start(last_pass, *command, code=INTERRUPTED, HF_HUB_DISABLE_PROGRESS_BARS="0")
    assert process.stdout is not None
    assert "fitting\n" in process.stdout, process.communicate()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "example/s" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_app_without_gradio_names_the_extra():
    block = "import sys; sys.argv[0], sys.modules['gradio'] = 'hf-eraser', None; import hf_eraser.cli as c; c.main()"
    process = start("app", "model", "adapter", code=block)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err == "Error: The app needs gradio: pip install 'hf_eraser[app]'\n"


_SCRIPT = """
import sys
from peft import PeftModel
from transformers import AutoModelForImageTextToText

base = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
print(PeftModel.from_pretrained(base, sys.argv[2]).active_peft_config.peft_type, sys.argv[3:])
"""


def test_run_makes_steering_adapters_known_to_another_program(folders, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    process = start("run", script, folders / "base", folders / "adapter", "--option", "-x", "--help")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "STEERING ['--option', '-x', '--help']" in out


def test_run_refuses_what_is_no_program_and_what_would_measure_something_else():
    assert "'no_such_program' is no file, no program" in run("run", "no_such_program", code=2).stderr
    pytest.importorskip("lm_eval")
    for model in (["--model", "hf"], ["--model=hf"]):
        found = run("run", "lm_eval", *model, "--model_args", "pretrained=base,peft=adapter", code=2)
        assert "use `--model hf-eraser`" in " ".join(found.stderr.replace("│", " ").split())


@pytest.fixture
def asked_for(monkeypatch):
    """What `forget` is asked for, which then knows nobody."""
    given = []

    def nobody(model, processor, what, **options):
        given.append((what, options))
        raise NothingToForgetError("The model does not know her.")

    monkeypatch.setattr(hf_eraser.forget_sets, "forget", nobody)
    return given


def test_person_hands_over_names_photos_and_where_examples_go(folders, tmp_path, asked_for):
    output = tmp_path / "forget-both"
    several = ["--name", "Ada", "--photos", "ada", "--name", "Ben", "--photos", "ben"]
    given = ["person", folders / "base", *several, "--also-known-as", "Ada=Countess", "--others", "friends"]
    result = run(*given, "-o", output, code=1)
    assert str(result.exception) == "The model does not know her."
    ((people, options),) = asked_for
    assert people == [Person("Ada", Path("ada"), ["Countess"]), Person("Ben", Path("ben"), [])]
    assert (options["others"], options["data"]) == (Path("friends"), tmp_path / "forget-both-examples")
    assert not output.exists()
    run("person", folders / "base", "--name", "Ada", "--also-known-as", "A=B", "-o", output, code=1)
    assert asked_for[1][0] == [Person("Ada", (), ["A=B"])]


def test_brands_artists_topics_and_facts_are_handed_over(folders, tmp_path, asked_for):
    (tmp_path / "facts.csv").write_text("question,old\nWho?,Ada\n")
    near = ["--near", "Evely", "--near", "Evelo"]
    for given, what in (
        (
            ["brand", "--name", "Examplo", "--pictures", "marks", *near],
            Brand("Examplo", Path("marks"), [], ["Evely", "Evelo"]),
        ),
        (["artist", "--name", "Ada", "--pictures", "works"], Artist("Ada", Path("works"), [])),
        (
            ["topic", "--name", "lock picking", "--also-known-as", "lockpicking"],
            Topic("lock picking", (), ["lockpicking"]),
        ),
        (
            ["fact", "--question", "Who?", "--old", "Ada", "--old", "She", "--new", "Ben."],
            Fact(["Who?"], ["Ada", "She"], "Ben."),
        ),
        (["fact", "--facts", tmp_path / "facts.csv"], Fact("Who?", "Ada")),
    ):
        run(given[0], folders / "base", *given[1:], "-o", tmp_path / "x", code=1)
        assert asked_for.pop()[0] == [what]
    for wrong in ([], ["--question", "Who?"], ["--old", "Ada"], ["--facts", tmp_path / "facts.csv", "--new", "x"]):
        run("fact", "nowhere", *wrong, "-o", tmp_path / "x", code=2)
    assert asked_for == []


def test_person_begins_nothing_that_it_could_not_write_or_does_not_understand(tmp_path, asked_for):
    (tmp_path / "x-examples").mkdir()
    (tmp_path / "x-examples" / "note.txt").write_text("mine")
    result = run("person", "nowhere", "--name", "Ada", "-o", tmp_path / "x", code=1)
    assert "holds files already. Choose another folder by --data" in str(result.exception)
    for wrong in (["--photos", "a"], ["--also-known-as", "Countess"], ["--also-known-as", "Eve=Countess"]):
        run("person", "nowhere", "--name", "Ada", "--name", "Ben", *wrong, "-o", tmp_path / "y", code=2)
    assert asked_for == []


def test_columns_and_prompts_are_named_on_the_command_line(tmp_path):
    for split in ("forget", "retain"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "metadata.csv").write_text(f"question,id\nWho is {split}?,1\n")
    with pytest.warns(UserWarning, match=r"columns \['id'\]"):
        result = run("data", "check", tmp_path, "--column", "prompt=question")
    assert "forget            0          1" in result.output
    run("data", "check", tmp_path, "--column", "question", code=2)
    assert "--column prompt=question" in str(run("data", "check", tmp_path, code=1).exception)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--adapter"),
        (["--adapter", "a=x", "--adapter", "a=y"], 2, "each name once"),
        (["--adapter", "x", "--default", "z"], 2, "must be a list of some of"),
        (["--adapter", "x", "--model", "y"], 2, "--model is set by `hf-eraser serve`"),
        (["--adapter", "x"], 1, "`hf-eraser serve` needs vLLM in the same environment"),
    ],
)
def test_serve_says_what_is_missing_before_anything_starts(arguments, code, said):
    process = start("serve", "org/model", *arguments)
    _, error = process.communicate(timeout=300)
    assert process.returncode == code
    assert said in " ".join(error.replace("│", " ").split())
