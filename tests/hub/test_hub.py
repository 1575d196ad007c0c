"""Publishing adapters on a Hub and pulling them from it, with the real client."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load
from transformers import AutoModelForImageTextToText

from hf_eraser import SteeringAdapterConfig
from tests.helpers.adapters import PROMPTS, attach, batch_of, fingerprint, logits, random_tensors
from tests.helpers.hub_metadata import problems


@pytest.fixture
def base_files(llava, tmp_path):
    """The files of a base model, as it is published."""
    model, _ = llava
    model.save_pretrained(tmp_path / "files")
    return {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()}


@pytest.fixture
def base(hub, base_files):
    """A base model pulled from the Hub, where it is `org/base`."""
    hub.put("org/base", base_files)
    return AutoModelForImageTextToText.from_pretrained("org/base").eval()


@pytest.fixture
def inputs(base, llava):
    return batch_of(base, llava[1], PROMPTS)


def with_adapter(base, kind, adapter_name="default", seed=0):
    """The base model with an adapter of random tensors: plain, or in a `PeftModel`."""
    if kind == "plain":
        attach(base, adapter_name, seed=seed)
        return base
    config = SteeringAdapterConfig(layers_to_transform=[2, 4], gate_layer=1)
    model = get_peft_model(base, config, adapter_name)
    set_peft_model_state_dict(model, random_tensors(base, config, seed=seed), adapter_name)
    return model


def change_adapter(model):
    """Give the adapter other tensors."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    set_peft_model_state_dict(model, random_tensors(base, model.peft_config["default"], seed=1))


def pull(base, kind, repo_id="org/forget", **options):
    """A model with the adapter of a repository, loaded in one of the ways that PEFT and transformers know."""
    if kind == "plain":
        base.load_adapter(repo_id, **options)
        return base
    if kind == "peft":
        return PeftModel.from_pretrained(base, repo_id, **options)
    if kind == "peft, later":
        model = with_adapter(base, "peft", adapter_name="other", seed=9)
        model.load_adapter(repo_id, **options)
        model.set_adapter("default")
        return model
    adapter = {name: options.pop(name) for name in ("revision",) if name in options}
    return AutoModelForImageTextToText.from_pretrained(repo_id, adapter_kwargs=adapter, **options).eval()


kinds = pytest.mark.parametrize("kind", ["plain", "peft"])
ways = pytest.mark.parametrize("way", ["plain", "peft", "peft, later", "auto"])


# Publishing


@kinds
def test_what_is_pushed_is_the_adapter_alone_with_a_card_that_the_hub_accepts(hub, base, kind):
    model = with_adapter(base, kind)
    before = fingerprint(model)
    commit = model.push_to_hub("org/forget", token=hub.token)
    assert fingerprint(model) == before
    assert commit.oid == hub.commit("org/forget").oid
    files = hub.files("org/forget")
    assert set(files) - {"generation_config.json"} == {
        ".gitattributes",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert hub.commit("org/forget").files["adapter_model.safetensors"].lfs
    tensors = load(files["adapter_model.safetensors"])
    assert tensors
    assert all("steering_" in name for name in tensors)
    info = HfApi().model_info("org/forget")
    assert info.library_name == "peft"
    assert info.pipeline_tag == "image-text-to-text"
    assert info.card_data.base_model == "org/base"
    assert "base_model:adapter:org/base" in info.tags
    card = files["README.md"].decode()
    assert 'model.load_adapter("org/forget")' in card
    assert not problems(card)


@kinds
def test_push_goes_to_the_branch_with_the_message_that_were_asked_for(hub, base, kind):
    model = with_adapter(base, kind)
    model.push_to_hub("org/forget", token=hub.token)
    main = hub.commit("org/forget")
    change_adapter(model)
    model.push_to_hub(
        "org/forget", token=hub.token, revision="v2", commit_message="Forget more", commit_description="As asked for."
    )
    assert hub.commit("org/forget") is main
    branch = hub.commit("org/forget", "v2")
    assert (branch.parent, branch.title, branch.description) == (main.oid, "Forget more", "As asked for.")
    changed = {path for path in branch.files if branch.files[path] != main.files[path]}
    assert changed == {"adapter_model.safetensors"}


@kinds
def test_pull_request_of_a_stranger_leaves_the_repository_as_it_was(hub, base, kind, llava, inputs):
    with_adapter(base, kind).push_to_hub("org/forget", token=hub.token)
    main = hub.commit("org/forget")
    theirs = with_adapter(llava[0], kind, seed=1)
    commit = theirs.push_to_hub("org/forget", token=hub.strangers_token, create_pr=True)
    assert hub.commit("org/forget") is main
    assert hub.commit("org/forget", commit.pr_revision).author == "stranger"
    new = AutoModelForImageTextToText.from_pretrained("org/base").eval()
    new.load_adapter("org/forget", revision=commit.pr_revision)
    assert torch.equal(logits(new, inputs), logits(theirs, inputs))


@kinds
def test_stranger_may_not_push_and_nobody_may_without_a_token(hub, base, kind):
    model = with_adapter(base, kind)
    for token, status in ((hub.strangers_token, 403), (False, 401)):
        with pytest.raises(HfHubHTTPError) as error:
            model.push_to_hub("org/forget", token=token)
        assert error.value.response.status_code == status
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=hub.token).model_info("org/forget")


@kinds
def test_card_of_the_repository_is_kept_and_tags_are_added(hub, base, kind):
    card = "---\nlicense: mit\ntags: [mine]\n---\n\nWhat I wrote.\n"
    hub.put("org/forget", {"README.md": card.encode(), "figure.png": b"\x89PNG"})
    model = with_adapter(base, kind)
    model.push_to_hub("org/forget", token=hub.token)
    assert hub.files("org/forget")["README.md"] == card.encode()
    model.push_to_hub("org/forget", token=hub.token, tags=["mine", "people"])
    tagged = ModelCard(hub.files("org/forget")["README.md"].decode())
    assert tagged.data.tags == ["mine", "people"]
    assert tagged.data.license == "mit"
    assert tagged.text.strip() == "What I wrote."
    assert hub.files("org/forget")["figure.png"] == b"\x89PNG"


@kinds
def test_pushing_the_same_again_makes_no_commit(hub, base, kind):
    model = with_adapter(base, kind)
    first = model.push_to_hub("org/forget", token=hub.token)
    assert model.push_to_hub("org/forget", token=hub.token).oid == first.oid
    assert [commit.title for commit in hub.repository("org/forget").history(hub.commit("org/forget"))] == [
        "Upload steering adapter",
        "initial commit",
    ]


@kinds
def test_folder_of_the_base_model_is_not_published(hub, llava, kind, tmp_path):
    llava[0].save_pretrained(tmp_path / "models" / "secret-project")
    model = with_adapter(AutoModelForImageTextToText.from_pretrained(tmp_path / "models" / "secret-project"), kind)
    with pytest.warns(UserWarning, match="secret-project.* is not published") as warned:
        model.push_to_hub("org/forget", token=hub.token)
    assert warned[0].filename == __file__
    assert not any(b"secret-project" in content for content in hub.files("org/forget").values())
    assert json.loads(hub.files("org/forget")["adapter_config.json"])["base_model_name_or_path"] is None
    # As the warning says: with the id on the Hub, everything is there.
    model.peft_config["default"].base_model_name_or_path = "org/base"
    model.push_to_hub("org/forget", token=hub.token)
    assert json.loads(hub.files("org/forget")["adapter_config.json"])["base_model_name_or_path"] == "org/base"


def test_saving_with_push_to_hub_publishes_the_same(hub, base, tmp_path):
    attach(base)
    base.save_pretrained(tmp_path / "forget", push_to_hub=True, repo_id="org/forget", token=hub.token, private=True)
    assert (tmp_path / "forget" / "adapter_model.safetensors").is_file()
    assert hub.repository("org/forget").private
    assert hub.files("org/forget").keys() >= {"README.md", "adapter_config.json", "adapter_model.safetensors"}


def test_several_active_adapters_on_a_plain_model_are_refused_before_anything_is_sent(hub, base):
    attach(base, "one")
    attach(base, "two", seed=1)
    base.set_adapter(["one", "two"])
    with pytest.raises(ValueError, match="Multiple active adapters"):
        base.push_to_hub("org/forget", token=hub.token)
    assert not hub.state.repositories.keys() - {("model", "org/base")}


def test_model_without_a_steering_adapter_is_pushed_as_ever(hub, base):
    attach(base)
    base.delete_adapter("default")
    base.push_to_hub("org/whole", token=hub.token)
    assert "model.safetensors" in hub.files("org/whole")
    lora = get_peft_model(base, LoraConfig(target_modules=["q_proj"], r=2))
    lora.push_to_hub("org/lora", token=hub.token)
    assert all("lora_" in name for name in load(hub.files("org/lora")["adapter_model.safetensors"]))


# Pulling


@kinds
@ways
def test_pulled_adapter_gives_the_pushed_ones_logits(hub, base, inputs, kind, way):
    base_logits = logits(base, inputs)
    model = with_adapter(base, kind)
    expected = logits(model, inputs)
    assert not torch.equal(expected, base_logits)
    model.push_to_hub("org/forget", token=hub.token)
    hub.empty_cache()
    pulled = pull(AutoModelForImageTextToText.from_pretrained("org/base").eval(), way)
    assert torch.equal(logits(pulled, inputs), expected)
    with pulled.disable_adapter():
        assert torch.equal(logits(pulled, inputs), base_logits)


@ways
@pytest.mark.parametrize("revision", ["v1", "commit"])
def test_pulled_revision_is_the_one_that_was_asked_for(hub, base, inputs, way, revision):
    attach(base)
    expected = logits(base, inputs)
    api = HfApi(token=hub.token)
    commit = base.push_to_hub("org/forget", token=hub.token)
    api.create_tag("org/forget", tag="v1")
    change_adapter(base)
    assert not torch.equal(logits(base, inputs), expected)
    base.push_to_hub("org/forget", token=hub.token)
    revision = commit.oid if revision == "commit" else revision
    pulled = pull(AutoModelForImageTextToText.from_pretrained("org/base").eval(), way, revision=revision)
    assert torch.equal(logits(pulled, inputs), expected)


@ways
def test_private_adapter_is_pulled_with_a_token_only(hub, base, inputs, way, monkeypatch):
    attach(base)
    expected = logits(base, inputs)
    base.push_to_hub("org/forget", token=hub.token, private=True)
    assert hub.repository("org/forget").private
    new = AutoModelForImageTextToText.from_pretrained("org/base").eval()
    before = fingerprint(new)
    for token in (None, hub.strangers_token):
        with pytest.raises((OSError, ValueError)):
            pull(new, "plain" if way == "plain" else "peft", token=token)
        assert fingerprint(new) == before
    assert torch.equal(logits(pull(new, way, token=hub.token), inputs), expected)
    hub.empty_cache()
    monkeypatch.setenv("HF_TOKEN", hub.token)
    new = AutoModelForImageTextToText.from_pretrained("org/base").eval()
    assert torch.equal(logits(pull(new, way), inputs), expected)


def test_named_adapter_of_a_peft_model_is_pulled_from_its_folder(hub, base, inputs):
    model = with_adapter(base, "peft", adapter_name="celebs")
    expected = logits(model, inputs)
    model.push_to_hub("org/forget", token=hub.token)
    assert "celebs/adapter_model.safetensors" in hub.files("org/forget")
    new = AutoModelForImageTextToText.from_pretrained("org/base").eval()
    new.load_adapter("org/forget", subfolder="celebs")
    assert torch.equal(logits(new, inputs), expected)
    new = AutoModelForImageTextToText.from_pretrained("org/base").eval()
    assert torch.equal(logits(PeftModel.from_pretrained(new, "org/forget", subfolder="celebs"), inputs), expected)


_PULL_ALL = """
import sys
import torch
import hf_eraser
from peft import PeftModel
from transformers import AutoModelForImageTextToText

inputs, expected = torch.load(sys.argv[1])
for way in ("plain", "peft", "auto"):
    model = AutoModelForImageTextToText.from_pretrained("org/forget" if way == "auto" else "org/base").eval()
    if way == "plain":
        model.load_adapter("org/forget")
    elif way == "peft":
        model = PeftModel.from_pretrained(model, "org/forget")
    assert torch.equal(model(**inputs).logits, expected), way
"""


def test_what_another_process_pulled_is_there_offline_by_each_way_of_loading(hub, base, inputs, tmp_path):
    attach(base)
    base.push_to_hub("org/forget", token=hub.token)
    torch.save((inputs, logits(base, inputs)), tmp_path / "expected.pt")
    command = [sys.executable, "-c", _PULL_ALL, str(tmp_path / "expected.pt")]
    subprocess.run(command, env=hub.environment(tmp_path / "home", token=None), check=True)
    hub.state.requests.clear()
    subprocess.run(command, env=hub.environment(tmp_path / "home", token=None, offline=True), check=True)
    assert hub.state.requests == []
