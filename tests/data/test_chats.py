"""Chats as people have written them: one form, the last answer apart, and what is broken named with its place."""

from __future__ import annotations

import base64
import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_eraser import fit
from hf_eraser.data import encode, read_examples
from hf_eraser.evaluation import evaluate
from tests.conftest import built
from tests.helpers.adapters import picture


def png(seed=0):
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


def read(example):
    (one,) = read_examples([example], "forget")
    return one


BASE64 = base64.b64encode(png()).decode()
PLAIN = {"image": picture(), "prompt": "Who is this?"}


def user(*parts):
    return {"role": "user", "content": list(parts)}


ASKED = {"type": "text", "text": "Who is this?"}


def same_chats(path):
    """One question about one picture, in the words of each format."""
    said = [{"role": "user", "content": "Who is this?"}]
    with_place = [user({"type": "image"}, ASKED)]
    # A column of parts in a table has each key in each part.
    filled = [user({"type": "image", "image": picture(), "text": None}, {**ASKED, "image": None})]
    spoken = [{"from": "human", "value": "<image>\nWho is this?"}]
    return {
        "transformers image": {"messages": [user({"type": "image", "image": picture()}, ASKED)]},
        "transformers path": {"messages": [user({"type": "image", "path": path}, ASKED)]},
        "transformers url": {"messages": [user({"type": "image", "url": f"file://{path}"}, ASKED)]},
        "transformers base64": {"messages": [user({"type": "image", "base64": BASE64}, ASKED)]},
        "OpenAI": {
            "messages": [user({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}}, ASKED)]
        },
        "OpenAI, Responses": {
            "messages": [
                user(
                    {"type": "input_image", "image_url": f"data:image/png;base64,{BASE64}"},
                    {"type": "input_text", "text": ASKED["text"]},
                )
            ]
        },
        "OpenAI, short": {"messages": [user({"type": "image_url", "image_url": path}, ASKED)]},
        "TRL": {"messages": with_place, "images": [picture()]},
        "TRL, no place": {"messages": said, "images": [picture()]},
        "TRL, prompt and completion": {
            "prompt": with_place,
            "images": [picture()],
            "completion": [{"role": "assistant", "content": "Ada"}],
        },
        "TRL, one picture": {"messages": said, "image": picture()},
        "LLaMA-Factory": {"messages": [{"role": "user", "content": "<image>Who is this?"}], "images": [path]},
        "LLaVA": {"conversations": spoken, "image": path},
        "ShareGPT": {"conversations": [*spoken, {"from": "gpt", "value": "Ada"}], "images": [path]},
        "parquet": {"messages": filled, "images": None, "answer": None},
        "images beside a prompt": {"prompt": "Who is this?", "images": [picture()]},
    }


@pytest.mark.parametrize("form", same_chats(""))
def test_a_question_is_the_same_example_in_every_format(form, tmp_path):
    (tmp_path / "ada.png").write_bytes(png())
    found = read(same_chats(str(tmp_path / "ada.png"))[form])
    assert found.key == read(PLAIN).key
    assert [part["type"] for part in found.messages[0]["content"]] == ["image", "text"]
    assert not found.begun


def test_several_pictures_go_to_their_places_in_order():
    kinds = {"type": "image"}
    messages = [user(kinds, ASKED, kinds), {"role": "assistant", "content": "Two."}, user(ASKED)]
    example = read({"messages": messages, "images": [picture(1), picture(2)]})
    assert [image.tobytes() for image in example.images] == [picture(1).tobytes(), picture(2).tobytes()]
    spoken = [{"from": "human", "value": "First <image> and then <image>, who?"}]
    parts = read({"conversations": spoken, "images": [picture(1), picture(2)]}).messages[0]["content"]
    assert [part.get("text", "image") for part in parts] == ["First", "image", "and then", "image", ", who?"]


@pytest.mark.parametrize("content", ["Ada Example", [{"type": "text", "text": "Ada Example"}]])
@pytest.mark.parametrize("key", ["messages", "conversations", "prompt"])
def test_a_last_whole_answer_is_the_answer_and_no_part_of_the_prompt(content, key):
    messages = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": content}]
    if key == "conversations" and isinstance(content, str):
        messages = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": content}]
    example = read({key: messages})
    assert example.key == read({"prompt": "Who?"}).key
    assert example.answers == ("Ada Example",)
    assert not example.begun
    assert read({key: messages, "answer": ["Ada", "Countess"]}).answers == ("Ada", "Countess")


def test_of_several_turns_only_the_last_answer_is_taken_out():
    messages = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user", "assistant")]
    example = read({"messages": messages})
    assert [message["role"] for message in example.messages] == ["system", "user", "assistant", "user"]
    assert example.answers == ("assistant",)


def test_a_begun_answer_is_marked_as_such_and_goes_on():
    messages = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "It is"}]
    example = read({"messages": messages, "continue_final_message": True})
    assert example.begun
    assert example.answers == ()
    with pytest.raises(ValueError, match=r"`forget\[0\]\['messages'\]` ends with no message of the assistant"):
        read({"messages": messages[:1], "continue_final_message": True})
    with pytest.raises(TypeError, match="begins no answer"):
        read({"prompt": "Who?", "continue_final_message": True})
    with pytest.raises(TypeError, match="must be True or False"):
        read({"messages": messages, "continue_final_message": "yes"})


@pytest.mark.parametrize("empty", [None, "", []])
def test_an_answer_that_is_not_there_yet_is_none(empty):
    example = read({"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": empty}]})
    assert example.answers == ()
    assert [message["role"] for message in example.messages] == ["user"]


HELLO = {"role": "user", "content": "Hello"}
BROKEN = {
    "no list": ({"messages": "Who?"}, r"\['messages'\]` must be a list of messages"),
    "empty": ({"messages": []}, r"\['messages'\]` must be a list of messages"),
    "a text as message": ({"messages": ["Who?"]}, r"\[0\]` must be a dict with 'role' and 'content'"),
    "no role": ({"messages": [{"content": "Who?"}]}, r"\[0\]` must be a dict with 'role' and 'content'"),
    "no content": ({"messages": [{"role": "user"}]}, r"\[0\]` must be a dict with 'role' and 'content'"),
    "role 3": ({"messages": [{"role": 3, "content": "Who?"}]}, r"\['role'\]` must be a text such as 'user', got 3"),
    "None": ({"messages": [{"role": "user", "content": None}]}, r"\['content'\]` must be a text, or a list of parts"),
    "None in between": (
        {"messages": [HELLO, {"role": "assistant", "content": None}, HELLO]},
        r"\[1\]\['content'\]` must be a text, or a list of parts",
    ),
    "a number": ({"messages": [{"role": "user", "content": 3}]}, r"\['content'\]` must be a text, or a list of parts"),
    "a dict": ({"messages": [{"role": "user", "content": ASKED}]}, r"\['content'\]` must be a text, or a list"),
    "texts": ({"messages": [user("Who?")]}, r"\['content'\]\[0\]` must be a dict with a 'type'"),
    "no type": ({"messages": [user({"text": "Who?"})]}, r"\['content'\]\[0\]` must be a dict with a 'type'"),
    "no text": ({"messages": [user({"type": "text"})]}, r"\['text'\]` must be a text, got None"),
    "text 3": ({"messages": [user({"type": "text", "text": 3})]}, r"\['text'\]` must be a text, got 3"),
    "no picture": ({"messages": [user({"type": "image"}, ASKED)]}, r"has no picture: give it by one of the keys"),
    "two pictures": (
        {"messages": [user({"type": "image", "url": "a", "path": "b"}, ASKED)]},
        r"has its picture in each of \['url', 'path'\]",
    ),
    "no base64": ({"messages": [user({"type": "image", "base64": "?"}, ASKED)]}, "is no base64 of a picture"),
    "no url": ({"messages": [user({"type": "image_url"}, ASKED)]}, r"\['image_url'\]` must be \{'url'"),
    **{
        kind: (
            {"messages": [user({"type": kind, kind: "a.mp4"}, ASKED)]},
            f"is of type '{kind}': only 'text', 'image'",
        )
        for kind in ("video", "audio", "input_audio", "tool_use", "document")
    },
    "too few pictures": (
        {"messages": [user({"type": "image"}, {"type": "image"}, ASKED)], "images": [picture()]},
        "there are not as many in 'images'",
    ),
    "too many pictures": (
        {"messages": [user({"type": "image"}, ASKED)], "images": [picture()] * 2},
        "has places for 1 pictures, and there are 2",
    ),
    "images no list": ({"messages": [HELLO], "images": "a.png"}, r"\['images'\]` must be a list"),
    "image and images": ({**PLAIN, "images": [picture()]}, "has 'image' and 'images'"),
    "a wrong one of images": ({"prompt": "?", "images": [picture(), 7]}, r"\['images'\]\[1\]` must be a PIL image"),
    "an answer with a picture": (
        {"messages": [HELLO, {"role": "assistant", "content": [{"type": "image", "image": picture()}]}]},
        "ends with an answer that is no text",
    ),
    "nothing asked": ({"messages": [{"role": "system", "content": "Be kind."}]}, "has no message of the user"),
    "only blanks": ({"messages": [{"role": "user", "content": " \n"}]}, "the user that is empty: nothing is asked"),
    "no user": ({"messages": [{"role": "human", "content": "Who?"}]}, r"of the user, but of \['human'\]"),
    "a tool": (
        {"messages": [HELLO, {"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}, HELLO]},
        r"\[1\]` has \['tool_calls'\], which cannot be fitted",
    ),
    "half a character": ({"messages": [{"role": "user", "content": "Who \ud83d?"}]}, "which is half a character"),
    "base64 as a path": ({"prompt": "?", "image": BASE64}, "is no path. If it is base64, give 'data:image"),
    "only an answer": ({"messages": [{"role": "assistant", "content": "Ada."}]}, "has no message of the user"),
    "an unknown speaker": ({"conversations": [{"from": "tool", "value": "3"}]}, r"\['from'\]` must be one of"),
    "neither": ({"image": picture()}, "must have one of 'prompt', 'messages' and 'conversations'"),
    "both": ({"prompt": "Who?", "messages": [HELLO]}, "must have one of 'prompt', 'messages' and 'conversations'"),
    "prompt 3": ({"prompt": 3}, r"\['prompt'\]` must be a text that is not empty, got 3"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_chat_is_named_with_its_place_in_one_short_line(kind):
    example, says = BROKEN[kind]
    with pytest.raises((TypeError, ValueError), match=says) as raised:
        read_examples([{"prompt": "Fine?"}, example], "forget")
    message = str(raised.value)
    assert "`forget[1]" in message
    assert "\n" not in message
    assert len(message) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "image", "from", "value"]), inner)
    ),
    max_leaves=12,
)


@given(JSON | st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": JSON}), min_size=1, max_size=3))
def test_whatever_is_given_as_a_chat_is_read_or_named(chat):
    try:
        example = read({"messages": chat})
    except (TypeError, ValueError) as error:
        message = str(error)
    else:
        assert all(part["type"] in ("text", "image") for m in example.messages for part in m["content"])
        return
    assert message.startswith(("`forget[0]", "The picture of `forget[0]"))
    assert len(message) < 400


@pytest.mark.parametrize(
    "example",
    [
        {"prompt": "<image>\nWho is this?", "image": picture()},
        {"messages": [user({"type": "image", "image": picture()}, {"type": "text", "text": "<image>Who?"})]},
    ],
)
def test_a_placeholder_in_the_words_is_named_with_its_remedy(example):
    with pytest.raises(ValueError, match=r"`forget\[0\].*placeholder '<image>' in its words: leave it out"):
        read(example)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_a_placeholder_of_the_processor_is_named_before_the_model_runs(name):
    model, processor = built(name)
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    bad = [{"prompt": "Fine?"}, {"prompt": f"{processor.image_token} Who is this?"}]
    good = [{"prompt": "What?"}]
    with pytest.raises(ValueError, match=r"`forget\[1\]` has the placeholder .* in its words: leave it out"):
        fit(model, processor, bad, good)
    with pytest.raises(ValueError, match=r"`retain\[1\]` has the placeholder"):
        fit(model, processor, good, bad)


def test_what_the_chat_template_refuses_is_named_before_the_model_runs(llava):
    model, processor = llava
    processor.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}"
    )
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    chat = {"messages": [{"role": "system", "content": "Be kind."}, HELLO]}
    with pytest.raises(
        ValueError, match=r"`retain\[1\]` is no chat for the chat template of `processor`: .*no system"
    ):
        fit(model, processor, [{"prompt": "Who?"}], [{"prompt": "What?"}, chat])


def test_a_picture_for_a_tokenizer_is_named(llava):
    model, processor = llava
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    tokenizer = processor.tokenizer
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(ValueError, match=r"`forget\[1\]` has a picture, and `processor` is a tokenizer"):
        fit(model, tokenizer, [{"prompt": "Who?"}, PLAIN], [{"prompt": "What?"}])


def test_every_format_gives_the_model_the_same_inputs(untaught, tmp_path):
    _, processor = untaught
    (tmp_path / "ada.png").write_bytes(png())
    wanted = encode(processor, [read(PLAIN)], torch.device("cpu"))
    for example in same_chats(str(tmp_path / "ada.png")).values():
        found = encode(processor, [read(example)], torch.device("cpu"))
        assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_evaluate_names_them_as_well(llava):
    from tests.helpers.adapters import attach

    model, processor = llava
    attach(model)
    with pytest.raises(ValueError, match=r"`retain\[0\]` has the placeholder"):
        evaluate(model, processor, [{"prompt": "Who?"}], [{"prompt": "<image> What?"}])
