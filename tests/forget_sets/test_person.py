"""From a name and photos: what is asked, kept, found to be known, written, and forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from examples.small.load import load_small_model
from examples.small.people import PEOPLE, draw_face
from examples.small.questions import measured_change
from hf_eraser.data import read_examples, read_imagefolder
from hf_eraser.data.overlap import shared_pictures
from hf_eraser.forget_sets import NothingToForgetError, Person, forget_person, write_sets
from hf_eraser.forget_sets.person import forget_examples, names_beside, retain_examples
from hf_eraser.forget_sets.probing import ask_about
from hf_eraser.forget_sets.questions import BY_NAME, BY_PHOTO
from tests.helpers.adapters import picture


KNOWN = PEOPLE[3]


@pytest.fixture
def photos(tmp_path):
    """Folders of photos: of somebody whom the taught models know, and of others."""
    rng = np.random.default_rng(0)
    for person in PEOPLE[:14]:
        folder = tmp_path / ("her" if person is KNOWN else f"others/{person.name}")
        folder.mkdir(parents=True)
        for n in range(3 if person is KNOWN else 1):
            measured_change(draw_face(person), rng).save(folder / f"{n}.png")
    return tmp_path


def test_every_photo_and_every_name_is_asked_about_in_every_wording(photos):
    examples = forget_examples(Person(KNOWN.name, photos / "her", ["Countess"]))
    by_photo = [example for example in examples if "image" in example]
    by_name = [example for example in examples if "image" not in example]
    assert {(e["image"].name, e["wording"]) for e in by_photo} == {
        (f"{n}.png", wording.key) for n in range(3) for wording in BY_PHOTO
    }
    assert len(by_name) == 2 * len(BY_NAME)
    assert sum("Countess" in example["prompt"] for example in by_name) == len(BY_NAME)
    assert all("{}" not in example["prompt"] for example in examples)
    assert {(example["group"], example["concept"]) for example in examples} == {(KNOWN.name, KNOWN.name)}
    assert len({wording.text for wording in BY_PHOTO}) == len(BY_PHOTO)
    assert len({wording.text for wording in BY_NAME}) == len(BY_NAME)


def test_of_many_photos_each_is_asked_about_in_turn_by_all_wordings():
    examples = forget_examples(Person("Ada", [picture(n) for n in range(50)]))
    asked = [example for example in examples if "image" in example]
    assert len(asked) == 50 * 4
    assert {example["wording"] for example in asked} == {wording.key for wording in BY_PHOTO}


def test_others_are_kept_by_photo_and_name_and_nobody_of_the_forgotten(photos):
    people = [Person(KNOWN.name, photos / "her", ["Marie Curie"])]
    kept = retain_examples(people, photos / "others")
    shown = {example["group"] for example in kept if "image" in example}
    assert shown == {person.name for person in PEOPLE[:14]} - {KNOWN.name}
    named = {example["group"] for example in kept if "image" not in example}
    assert shown <= named
    assert not {name for name in named if name in (KNOWN.name, "Marie Curie")}
    first, last = KNOWN.name.split()
    assert sum(name.startswith(f"{first} ") for name in named) >= 10
    assert sum(name.endswith(f" {last}") for name in named) >= 10
    assert {"Albert Einstein", "What is the capital of France?"} <= named
    forget = read_examples(forget_examples(people[0]), "forget")
    retain = read_examples(kept, "retain")
    assert {example.wording for example in forget} <= {example.wording for example in retain}
    assert shared_pictures(forget, retain) is None
    assert names_beside([Person("Ada")])[0].startswith("Ada ")


def test_too_few_others_are_warned_of_loudly(photos):
    with pytest.warns(UserWarning, match="photos of 0 other people: the gate then learns ANY FACE"):
        retain_examples([Person(KNOWN.name, photos / "her")], ())
    with pytest.warns(UserWarning, match="photos of 2 other people"):
        retain_examples([Person(KNOWN.name, photos / "her")], [picture(1), picture(2)])


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"name": " "}, ValueError, "`name` must be a text"),
        ({"name": "Ada", "also_known_as": "Countess"}, ValueError, "`also_known_as` must be a list of names"),
        ({"name": "Ada", "also_known_as": [""]}, ValueError, "`also_known_as` must be a list of names"),
    ],
)
def test_a_person_without_a_name_is_refused(given, error, says):
    with pytest.raises(error, match=says):
        Person(**given)


def test_a_folder_without_photos_is_named(tmp_path):
    for folder, says in ((tmp_path, "has no pictures"), (tmp_path / "no", "is no folder")):
        with pytest.raises(FileNotFoundError, match=says):
            forget_examples(Person("Ada", folder))


def test_what_the_model_knows_today_is_found_and_nothing_else(photos):
    model, processor = load_small_model("llava")
    known = ask_about(model, processor, Person(KNOWN.name, photos / "her"), batch_size=64)
    assert known.by_photo
    assert known.by_name
    assert known.named >= 0.6 * known.asked_by_photo
    assert KNOWN.profession in {e.get("answer") for e in known.forget if "image" not in e}
    assert f"names the person in {known.named} of {known.asked_by_photo} answers" in str(known)
    # The face of one and the name of another: the photos are then not known by that name.
    stranger = ask_about(model, processor, Person("Zora Unheard", photos / "her"), batch_size=64)
    assert not stranger.by_photo
    assert not any("image" in example for example in stranger.forget)


def test_who_is_not_known_is_not_forgotten_and_that_is_said(llava):
    model, processor = llava
    model.generate = lambda input_ids, **_: input_ids  # answers nothing, whoever it is asked about
    told = []
    with pytest.raises(NothingToForgetError, match=r"does not know Zora Unheard.* There is nothing to forget"):
        forget_person(model, processor, "Zora Unheard", tell=told.append)
    assert told == [f"Zora Unheard: the model tells of the person in 0 of {len(BY_NAME)} answers by name."]
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Give `name`, or `people`"),
        ({"name": "Ada", "people": [Person("Ben")]}, "Give `name`, or `people`"),
        ({"people": [Person("Ben")], "photos": [picture()]}, "belong to `name`"),
    ],
)
def test_one_person_or_several_are_given(llava, given, says):
    with pytest.raises(ValueError, match=says):
        forget_person(*llava, **given)


def test_sets_are_written_with_each_picture_once_and_read_again_as_they_were(tmp_path, photos):
    person = Person(KNOWN.name, photos / "her", ["Countess"])
    sets = {
        "forget": forget_examples(person),
        "retain": [{"prompt": "Who?", "image": picture(n % 2)} for n in range(4)],
    }
    sets["retain"] = [{**example, "wording": n} for n, example in enumerate(sets["retain"])]
    folder = write_sets(tmp_path / "made", sets)
    assert len(list((folder / "forget" / "pictures").iterdir())) == 3
    assert len(list((folder / "retain" / "pictures").iterdir())) == 2
    again = read_imagefolder(folder)
    for split, examples in sets.items():
        for one, other in zip(read_examples(examples, split), read_examples(again[split], split), strict=True):
            assert (one.key, one.group, one.wording, one.answers, one.concept) == (
                other.key,
                other.group,
                other.wording,
                other.answers,
                other.concept,
            )
    with pytest.raises(FileExistsError, match="holds files already"):
        write_sets(folder, sets)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]
