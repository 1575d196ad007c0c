"""Rows in the schemas of well-known data sets become examples, and a fit takes them."""

from __future__ import annotations

import pytest

from hf_eraser import fit
from hf_eraser.data import read_examples
from hf_eraser.data.layouts import from_clear, from_llava, from_mllmu, from_vqa
from tests.helpers.adapters import picture


@pytest.fixture
def folder(tmp_path):
    for n in range(8):
        picture(n).save(tmp_path / f"{n}.png")
        picture(n).save(tmp_path / f"COCO_val2014_{n:012d}.png")
    return tmp_path


def llava_rows(numbers, folder):
    rows = [
        {
            "id": str(n),
            "image": f"{n}.png",
            "conversations": [
                {"from": "human", "value": "<image>\nWho is this?"},
                {"from": "gpt", "value": f"Person {n}."},
                {"from": "human", "value": f"Where does person {n} live?"},
                {"from": "gpt", "value": "In Paris."},
            ],
        }
        for n in numbers
    ]
    return from_llava(rows, folder)


def vqa(numbers, folder):
    questions = [{"image_id": n, "question": "What is this?", "question_id": 10 * n} for n in numbers]
    given = [{"answer": f"thing {n}", "answer_id": i} for n in numbers for i in range(3)]
    annotations = [
        {"question_id": 10 * n, "image_id": n, "answers": [*given[3 * i : 3 * i + 3], {"answer": "a thing"}]}
        for i, n in enumerate(numbers)
    ]
    return from_vqa(questions, annotations, folder, "COCO_val2014_{:012d}.png")


def mllmu(numbers, _):
    rows = [
        {
            "image": picture(n),
            "ID": f"{n:03}",
            "biography": "Somebody was born.",
            "question": "What is the name of this person?",
            "answer": f"Person {n}",
            "Generation_Task": [
                {"Type": "Image_Textual", "Question": f"What does person {n} do?", "Ground_Truth": "Baking."},
                {"Type": "Pure_Text", "Question": f"Where was person {n} born?", "Ground_Truth": "Paris."},
            ],
            "Mask_Task": [{"Type": "Pure_Text", "Question": f"Person {n} is a [Blank].", "Ground_Truth": "baker"}],
            "Classification_Task": {
                "Image_Textual_Questions": [
                    {"Question": f"Who is {n}?", "Options": {"A": "Ada", "B": "Ben"}, "Correct_Answer": "B"}
                ],
                "Pure_Text_Questions": [],
            },
        }
        for n in numbers
    ]
    return from_mllmu(rows)


def clear(numbers, _):
    rows = []
    for n in numbers:
        name = f"Person {n}"
        shown = ((n, "waves"), (n + 10, "sleeps"), (n + 20, "reads"))
        rows += [{"image": picture(seed), "caption": f"{name} {does}.", "name": name} for seed, does in shown]
        asked = ("Who is {}?", "What does {} do?", "Where is {} from?")
        rows += [{"question": text.format(name), "answer": "A poet.", "name": name} for text in asked]
    return from_clear(rows)


def trl(numbers, _):
    return [
        {
            "images": [picture(n)],
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who is this?"}]},
                {"role": "assistant", "content": [{"type": "text", "text": f"Person {n}"}]},
            ],
        }
        for n in numbers
    ]


# How many examples a row makes, and what the first of the first row is answered.
LAYOUTS = {
    "llava": (llava_rows, 2, "Person 0."),
    "vqa": (vqa, 1, "thing 0"),
    "mllmu": (mllmu, 5, "Person 0"),
    "clear": (clear, 6, "Person 0 waves."),
    "trl": (trl, 1, "Person 0"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_read_with_their_pictures_and_answers_and_fitted(layout, folder, llava):
    rows, each, answer = LAYOUTS[layout]
    model, processor = llava
    forget, retain = rows(range(2), folder), rows(range(2, 8), folder)
    read = read_examples(forget, "forget")
    assert len(read) == 2 * each
    assert read[0].answer == answer
    assert len(read[0].images) == 1
    assert all(not example.begun and example.answers for example in read)
    report = fit(
        model,
        processor,
        forget,
        retain,
        layers=[3, 4],
        gate_layer=2,
        strength=1.0,
        attacks=False,
        general=False,
        prefer="retain",
        harden_pictures=False,
        augment=False,
        batch_size=32,
    )
    assert report.counts["forget"] == 2 * each


def test_a_chat_of_several_turns_makes_an_example_of_each_answer(folder):
    first, second = read_examples(llava_rows([0], folder), "forget")
    assert [len(example.messages) for example in (first, second)] == [1, 3]
    assert (first.answer, second.answer) == ("Person 0.", "In Paris.")


def test_every_answer_that_people_gave_counts(folder):
    assert read_examples(vqa([1], folder), "forget")[0].answers == ("thing 1", "a thing")


def test_tasks_with_a_picture_have_it_and_those_of_text_do_not():
    read = read_examples(mllmu([0], None), "forget")
    assert [len(example.images) for example in read] == [1, 1, 0, 0, 1]
    assert read[-1].answer == "Ben"
    assert "A. Ada\nB. Ben" in read[-1].messages[0]["content"][-1]["text"]
    assert {(example.group, example.concept) for example in read} == {("000", "000")}
    two = from_mllmu([{"images": [picture(0), picture(1)], "ID": "1", "question": "Who?", "answer": "Ada"}])
    assert len(two) == 2


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "https://host/a.png", 7])
def test_a_picture_outside_of_the_folder_is_refused(folder, name):
    turns = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ada"}]
    with pytest.raises(ValueError, match="Entry 0: the picture must be a file inside"):
        from_llava([{"image": name, "conversations": turns}], folder)


def test_what_is_missing_is_named(folder):
    with pytest.raises(ValueError, match="Entry 0 must have 'conversations'"):
        from_llava([{"image": "0.png"}], folder)
    with pytest.raises(ValueError, match=r"Question 0 \(3\) has no annotation"):
        from_vqa([{"question_id": 3, "image_id": 1, "question": "?"}], [], folder)
