"""The app in a real Chromium: answers, gates' decisions, switches and slider, errors, and no request outside."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from gradio_client import Client, handle_file
from huggingface_hub import SpaceCard
from peft import get_peft_model
from playwright.sync_api import expect
from transformers import LlamaConfig, LlamaForCausalLM

from examples.app import QUICK
from examples.browser import chromium, find_chromium
from examples.small.forgetting import FORGOTTEN, fit_forgetting
from examples.small.load import load_small_model
from examples.small.people import PEOPLE, draw_face
from examples.small.questions import REFUSAL
from hf_eraser import SteeringAdapterConfig
from hf_eraser.app import build_app, load, serve
from hf_eraser.app.page import Answer, page_of
from hf_eraser.data import encode, read_examples
from hf_eraser.tuner.explain import GateDecision, gate_decisions
from hf_eraser.tuner.fields import READOUTS
from tests.helpers.adapters import attach


SPACE = Path(__file__).parents[2] / "hub_cards" / "space"
# How long the page, the browser or a client waits for what comes at once on an idle machine.
PATIENCE = 120  # seconds
expect.set_options(timeout=PATIENCE * 1000)
FORGOTTEN_PERSON = next(person for person in PEOPLE if person.name == FORGOTTEN[0])
RETAINED_PERSON = PEOPLE[0]
NAME = "What is the name of this person?"


@pytest.fixture(scope="module")
def forgetting():
    """A taught LLaVA with an adapter that forgets two people and one that never opens, and the page's address."""
    model, processor = load_small_model("llava")
    fit_forgetting(model, processor, FORGOTTEN[:2], adapter_name="forget-two", **QUICK, readout="image")
    attach(model, "never-opens", low=1e6, high=2e6)
    model.set_adapter("forget-two")
    app = build_app(
        model,
        processor,
        pictures=[(draw_face(person), person.name) for person in (FORGOTTEN_PERSON, RETAINED_PERSON)],
        questions=[NAME],
        max_new_tokens=16,
    )
    url = serve(app, wait=False)
    yield model, processor, url
    app.close()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; the one place where tests are skipped that need it."""
    if find_chromium() is None:
        pytest.skip(
            "needs Chromium or Google Chrome on the PATH: `apt-get install chromium` (Debian), "
            "`brew install --cask chromium` (macOS), or google.com/chrome"
        )
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser, forgetting):
    """Opens the app's page, with options of a browser's context; all that are opened are closed in the end."""
    contexts = []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(PATIENCE * 1000)
        page = contexts[-1].new_page()
        requests: list[str] = []
        contexts[-1].on("request", lambda request: requests.append(request.url))
        page.goto(forgetting[2])
        page.get_by_role("button", name="Ask", exact=True).wait_for()
        return page, requests

    yield open_page
    for context in contexts:
        context.close()


def client_of(url):
    """Asks the app as the page does."""
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": PATIENCE})


@pytest.fixture
def page(open_page):
    """The page as it opens; whatever a test does, nothing outside this machine may be asked for."""
    page, requests = open_page(viewport={"width": 1280, "height": 900})
    yield page
    assert requests
    outside = [url for url in requests if not re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", url)]
    assert outside == []


def pick(page, person):
    page.locator("#gallery button", has=page.get_by_alt_text(person.name)).click()
    page.locator("#picture img").wait_for()


def ask(page, question):
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def card(page, title):
    return page.locator("#answers article", has=page.get_by_role("heading", name=title, exact=True))


def wait_for_answers(page, **expected):
    """Wait until the cards, by title, hold these texts."""
    for title, texts in expected.items():
        for text in texts:
            card(page, title).get_by_text(text, exact=True).wait_for()


BASE, ALL = "Without any adapter", "All switched on, together"


def test_forgotten_person_is_refused_by_the_one_adapter_and_known_without_it(page):
    pick(page, FORGOTTEN_PERSON)
    ask(page, NAME)
    wait_for_answers(
        page,
        **{
            BASE: [FORGOTTEN_PERSON.name],
            "forget-two": [REFUSAL, "Gate open: refused"],
            "never-opens": [FORGOTTEN_PERSON.name, "Gate closed: unchanged"],
            ALL: [REFUSAL, "forget-two: open", "never-opens: closed"],
        },
    )


def test_retained_person_is_known_with_every_adapter(page):
    pick(page, RETAINED_PERSON)
    ask(page, NAME)
    closed = [RETAINED_PERSON.name, "Gate closed: unchanged"]
    wait_for_answers(
        page, **{BASE: closed[:1], "forget-two": closed, "never-opens": closed, ALL: [RETAINED_PERSON.name]}
    )


def test_bar_shows_the_score_and_bounds_that_the_forward_pass_decides_by(page, forgetting):
    model, processor, _ = forgetting
    example = {"image": draw_face(RETAINED_PERSON), "prompt": NAME}
    [row] = gate_decisions(
        model, encode(processor, read_examples([example], "example"), model.device), adapters=["forget-two"]
    )
    # Of several gates, the one that is nearest to opening comes first.
    gate = max(row["forget-two"], key=lambda gate: gate.score - gate.low)
    pick(page, RETAINED_PERSON)
    ask(page, NAME)
    wait_for_answers(page, **{ALL: [RETAINED_PERSON.name]})  # the last one: nothing moves any more
    shown = card(page, "forget-two").get_by_role("img").first
    assert shown.get_attribute("aria-label") == (
        f"Score {gate.score:.3g}; closed up to {gate.low:.3g}, open from {gate.high:.3g}; gate 0.00"
    )
    score, low, high = (
        card(page, "forget-two").locator(place).first.bounding_box()["x"] for place in (".pin", ".low", ".high")
    )
    assert score < low < high


def test_question_without_a_picture_is_answered_or_refused_by_name(page):
    ask(page, f"What is the job of {FORGOTTEN_PERSON.name}?")
    wait_for_answers(page, **{BASE: [FORGOTTEN_PERSON.profession], "forget-two": [REFUSAL, "Gate open: refused"]})
    ask(page, f"What is the job of {RETAINED_PERSON.name}?")
    wait_for_answers(
        page,
        **{BASE: [RETAINED_PERSON.profession], "forget-two": [RETAINED_PERSON.profession, "Gate closed: unchanged"]},
    )


def test_adapter_that_is_switched_off_is_not_asked(page):
    pick(page, FORGOTTEN_PERSON)
    ask(page, NAME)
    wait_for_answers(page, **{ALL: [REFUSAL]})
    page.get_by_role("checkbox", name="forget-two").uncheck()
    wait_for_answers(
        page, **{"forget-two": ["Switched off, so it was not asked."], "never-opens": ["Gate closed: unchanged"]}
    )
    assert card(page, ALL).count() == 0
    assert page.locator("#answers").get_by_text(REFUSAL).count() == 0
    page.get_by_role("checkbox", name="forget-two").check()
    wait_for_answers(page, **{"forget-two": [REFUSAL], ALL: [REFUSAL]})


def test_strength_of_zero_gives_the_base_model_s_answer_and_is_only_lent(page, forgetting):
    model, _, url = forgetting
    pick(page, FORGOTTEN_PERSON)
    ask(page, NAME)
    wait_for_answers(page, **{ALL: [REFUSAL]})
    page.get_by_role("slider").press("Home")
    unchanged = [FORGOTTEN_PERSON.name, "Gate open, strength 0: unchanged"]
    wait_for_answers(page, **{"forget-two": unchanged, ALL: [FORGOTTEN_PERSON.name]})
    page.get_by_role("button", name="Reset to default value").click()
    wait_for_answers(page, **{"forget-two": [REFUSAL, "Gate open: refused"], ALL: [REFUSAL]})
    page.goto("about:blank")
    # Requests are served one after another: when this one is, none of the page's uses the model any more.
    client_of(url).predict(None, "Who?", [], 1, api_name="/ask")
    assert model.peft_config["forget-two"].strength == QUICK["strength"]
    assert model.active_adapters() == ["forget-two"]


def test_keyboard_alone_picks_asks_and_switches(page):
    page.locator("#gallery button").first.focus()
    page.keyboard.press("Enter")
    page.locator("#picture img").wait_for()
    page.get_by_role("button", name=NAME).focus()
    page.keyboard.press("Enter")
    question = page.get_by_label("Question")
    expect(question).to_have_value(NAME)
    question.focus()
    page.keyboard.press("Enter")
    wait_for_answers(page, **{"forget-two": [REFUSAL], ALL: [REFUSAL]})
    page.get_by_role("checkbox", name="never-opens").focus()
    page.keyboard.press("Space")
    wait_for_answers(page, **{"never-opens": ["Switched off, so it was not asked."]})


def test_empty_question_and_broken_picture_are_told_of_in_the_page(page, tmp_path):
    page.get_by_role("button", name="Ask", exact=True).click()
    alert = page.get_by_role("alert")
    alert.get_by_text("Type a question first.").wait_for()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    page.locator("#picture input[type=file]").set_input_files(broken)
    page.locator("#picture img").wait_for()
    ask(page, NAME)
    alert.get_by_text("This picture cannot be read. Try a PNG or JPEG file.").wait_for()
    assert not re.search(r"Traceback|Error|/tmp", page.locator("body").inner_text())
    page.get_by_role("button", name="Remove Image").click()
    ask(page, "What is the capital of France?")
    wait_for_answers(page, **{BASE: ["Paris"]})
    assert alert.count() == 0


def test_adapters_of_a_peft_model_are_shown_and_stay_as_they_are(llava):
    model, processor = llava
    peft_model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "never")
    attach(peft_model, "always", gate="always")
    peft_model.set_adapter("never")
    app = build_app(peft_model, processor, max_new_tokens=2)
    try:
        client = client_of(serve(app, wait=False))
        shown = client.predict(None, "Who?", ["always", "never"], 1, api_name="/ask")
    finally:
        app.close()
    assert "always: open" in shown
    assert "never: closed" in shown
    assert peft_model.active_adapters == ["never"]


def test_failure_of_the_model_is_told_without_a_traceback(llava):
    model, processor = llava
    attach(model, "random")
    app = build_app(model, processor, max_new_tokens=2)
    try:
        client = client_of(serve(app, wait=False))
        del model.lm_head
        shown = client.predict(None, "Who?", ["random"], 1, api_name="/ask")
    finally:
        app.close()
    assert "The model failed on this question." in shown
    assert "lm_head" not in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(open_page, scheme):
    page, _ = open_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    pick(page, FORGOTTEN_PERSON)
    ask(page, NAME)
    wait_for_answers(page, **{ALL: [REFUSAL]})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark is (scheme == "dark")


def test_two_who_ask_at_once_each_get_their_own_strength_and_adapters(forgetting):
    _, _, url = forgetting
    question = f"What is the job of {FORGOTTEN_PERSON.name}?"
    pages: dict[float, list[str]] = {0.0: [], 1.0: []}

    def many(strength: float) -> None:
        client = client_of(url)
        for _ in range(4):
            job = client.submit(None, question, ["forget-two"], strength, api_name="/ask")
            job.result()
            pages[strength].append(job.outputs()[-1])

    threads = [threading.Thread(target=many, args=(strength,)) for strength in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(shown) for shown in pages.values()] == [4, 4]
    assert all("Gate open, strength 0: unchanged" in shown and REFUSAL not in shown for shown in pages[0.0])
    assert all("Gate open: refused" in shown and REFUSAL in shown for shown in pages[1.0])


@pytest.fixture
def text_only(llava):
    """A language model without pictures, its tokenizer, and an adapter on it."""
    tokenizer = llava[1].tokenizer
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=5,
            num_attention_heads=2,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    ).eval()
    return model, tokenizer


def test_model_without_pictures_answers_text_and_says_that_it_reads_no_pictures(text_only, tmp_path):
    model, tokenizer = text_only
    attach(model, "random")
    draw_face(RETAINED_PERSON).save(tmp_path / "face.png")
    app = build_app(model, tokenizer, max_new_tokens=2)
    try:
        client = client_of(serve(app, wait=False))
        assert "Without any adapter" in client.predict(None, "Who?", ["random"], 1, api_name="/ask")
        shown = client.predict(handle_file(tmp_path / "face.png"), "Who?", ["random"], 1, api_name="/ask")
        assert "This model reads text only." in shown
    finally:
        app.close()


def test_adapters_are_loaded_under_the_names_of_their_folders(llava, text_only, tmp_path):
    for (model, processor), name in ((llava, "pictures"), (text_only, "text")):
        model.save_pretrained(tmp_path / name)
        processor.save_pretrained(tmp_path / name)
        attach(model, "default")
        model.save_pretrained(tmp_path / f"{name}-v1.0")
        loaded, loaded_processor = load(tmp_path / name, [tmp_path / f"{name}-v1.0"])
        assert list(loaded.peft_config) == [f"{name}-v1_0"]
        assert type(loaded).__name__ == type(model).__name__
        assert type(loaded_processor) is type(processor)


def test_what_cannot_be_shown_is_refused_before_anything_is_loaded(llava, tmp_path):
    model, processor = llava
    with pytest.raises(ValueError, match="`model` has no steering adapter"):
        build_app(model, processor)
    with pytest.raises(ValueError, match="`adapters` must be at least one"):
        load(tmp_path / "no model", [])
    with pytest.raises(ValueError, match="no two folders or repositories of one name"):
        load(tmp_path / "no model", ["one/forget", "two/forget"])


def test_app_without_gradio_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("hf_eraser.app", "hf_eraser.app.server"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'hf_eraser\[app\]'"):
        importlib.import_module("hf_eraser.app")


def test_what_model_and_user_say_is_shown_as_text():
    shown = page_of("<b>Who?</b>", [Answer((), "<script>alert(1)</script>")], ["<i>"], strength=1.0)
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "&lt;i&gt;" in shown


def test_gates_that_have_no_bounds_are_told_of_in_words():
    def shown(**changes):
        gate = GateDecision(
            **{
                **{"layer": 3, "direction": 0, "modality": "text", "readout": "last", "mode": "calibrated"},
                **{"score": 0.5, "low": 0.2, "high": 0.4, "gate": 1.0},
                **changes,
            }
        )
        return page_of("?", [Answer((), "a"), Answer(("x",), "b", {"x": [gate]})], [], strength=1.0)

    assert "never steers a prompt without a picture" in shown(low=float("inf"), high=float("inf"), gate=0.0)
    assert "steers every prompt" in shown(mode="always")
    assert "opens at 0" in shown(mode="linear")
    assert "Gate open: answer changed" in shown()
    assert all(" from the " in shown(readout=readout) for readout in READOUTS)


def test_space_card_is_valid_and_its_app_serves_what_the_variables_name(llava, tmp_path):
    card = SpaceCard.load(SPACE / "README.md")
    pinned = dict(line.split("==") for line in (Path(__file__).parents[1] / "constraints.txt").read_text().split())
    assert (card.data.sdk, card.data.sdk_version) == ("gradio", pinned["gradio"])
    assert (SPACE / card.data.app_file).is_file()
    assert len(card.data.short_description) <= 60  # the Hub's limit

    model, processor = llava
    model.save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    attach(model, "default")
    model.save_pretrained(tmp_path / "forget-it")
    environment = {
        **os.environ,
        "BASE_MODEL": str(tmp_path / "base"),
        "ADAPTERS": str(tmp_path / "forget-it"),
        "PYTHONPATH": str(SPACE.parents[1]),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, str(SPACE / card.data.app_file)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        url = next(match[0] for line in process.stdout if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
        shown = client_of(url).predict(None, "Who?", ["forget-it"], 1, api_name="/ask")
        assert "forget-it" in shown
    finally:
        process.terminate()
        process.wait()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["base", "forget-it"]


def test_space_without_its_variables_says_which_to_set(monkeypatch):
    monkeypatch.setenv("BASE_MODEL", "org/base")
    monkeypatch.delenv("ADAPTERS", raising=False)
    with pytest.raises(SystemExit, match="Set ADAPTERS under Settings"):
        runpy.run_path(str(SPACE / "app.py"))
