"""From names and pictures: what is asked, kept, found to be known, written, and forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from examples.small.load import load_small_model
from examples.small.people import PEOPLE, draw_face
from examples.small.questions import measured_change
from hf_eraser.data import read_examples, read_imagefolder
from hf_eraser.data.overlap import shared_pictures
from hf_eraser.forget_sets import Artist, Brand, Fact, NothingToForgetError, Person, Topic, forget, write_sets
from hf_eraser.forget_sets.kinds import ARTISTS, BRANDS, TOPICS
from hf_eraser.forget_sets.kinds import PEOPLE as OF_PEOPLE
from hf_eraser.forget_sets.probing import ask_about
from hf_eraser.forget_sets.subject import forget_examples, names_beside, retain_examples
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
        (f"{n}.png", wording.key) for n in range(3) for wording in OF_PEOPLE.by_picture
    }
    assert len(by_name) == 2 * len(OF_PEOPLE.by_name)
    assert sum("Countess" in example["prompt"] for example in by_name) == len(OF_PEOPLE.by_name)
    assert all("{}" not in example["prompt"] for example in examples)
    assert {(example["group"], example["concept"]) for example in examples} == {(KNOWN.name, KNOWN.name)}


@pytest.mark.parametrize("kind", [OF_PEOPLE, BRANDS, ARTISTS, TOPICS], ids=["people", "brands", "artists", "topics"])
def test_every_kind_asks_in_many_wordings_each_once_and_says_what_names_it(kind):
    for wordings, named in ((kind.by_picture, 0), (kind.by_name, 1)):
        assert len({wording.text for wording in wordings}) == len(wordings)
        assert all(wording.text.count("{}") >= named and (named or "{}" not in wording.text) for wording in wordings)
    assert len(kind.by_name) >= 60
    assert set(kind.identity) <= {wording.about for wording in kind.by_picture}
    assert len(set(kind.well_known)) == len(kind.well_known) >= 24
    assert set(kind.made_up).isdisjoint(kind.well_known)
    # From a rotation of any start all wordings come by.
    shown = [Brand("x", [picture(n)]) for n in range(1)]
    assert len(forget_examples(shown[0])) == len(BRANDS.by_picture) + len(BRANDS.by_name)


def test_brands_artists_and_topics_are_asked_about_in_their_own_words_and_others_of_the_kind_are_kept():
    pictures = [picture(n) for n in range(12)]
    for subject, question, other in (
        (Brand("Examplo", pictures[:2]), "Which brand is this?", "Nike"),
        (Artist("Ada Example", pictures[:2]), "Who painted this?", "Claude Monet"),
        (Topic("lock picking", near=["locksmiths"]), "Explain lock picking to me.", "photosynthesis"),
    ):
        asked = forget_examples(subject)
        assert question in {example["prompt"] for example in asked}
        assert all(example["answer"] == [subject.name] for example in asked if "answer" in example)
        kept = retain_examples([subject], pictures[2:])
        assert other in {example["group"] for example in kept}
        assert {"image" in example for example in kept} == {True, False} if subject.pictures else {False}
        # What is kept is asked in the words in which the subject is.
        wordings = {example["wording"] for example in asked}
        assert {example["wording"] for example in kept if "wording" in example} <= wordings
    assert names_beside([Topic("lock picking", near=["locksmiths"])])[0] == "locksmiths"
    # Near the topic without being named: it is the topic's own word that would be kept.
    assert "baking bread" not in names_beside([Topic("bread")])


def test_of_many_photos_each_is_asked_about_in_turn_by_all_wordings():
    examples = forget_examples(Person("Ada", [picture(n) for n in range(50)]))
    asked = [example for example in examples if "image" in example]
    assert len(asked) == 50 * 4
    assert {example["wording"] for example in asked} == {wording.key for wording in OF_PEOPLE.by_picture}


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
    with pytest.warns(UserWarning, match="pictures of 0 others: the gate then learns ANY FACE"):
        retain_examples([Person(KNOWN.name, photos / "her")], ())
    with pytest.warns(UserWarning, match="pictures of 2 others"):
        retain_examples([Person(KNOWN.name, photos / "her")], [picture(1), picture(2)])


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"name": " "}, ValueError, "`name` must be a text"),
        ({"name": "Ada", "also_known_as": "Countess"}, ValueError, "`also_known_as` must be a list of names"),
        ({"name": "Ada", "also_known_as": [""]}, ValueError, "`also_known_as` must be a list of names"),
        ({"name": "Ada", "near": "Eve"}, ValueError, "`near` must be a list of names"),
    ],
)
def test_a_subject_without_a_name_is_refused(given, error, says):
    with pytest.raises(error, match=says):
        Person(**given)


def test_a_folder_without_photos_is_named(tmp_path):
    for folder, says in ((tmp_path, "has no pictures"), (tmp_path / "no", "is no folder")):
        with pytest.raises(FileNotFoundError, match=says):
            forget_examples(Person("Ada", folder))


def test_what_the_model_knows_today_is_found_and_nothing_else(photos):
    model, processor = load_small_model("llava")
    known = ask_about(model, processor, Person(KNOWN.name, photos / "her"), batch_size=64)
    assert known.by_picture
    assert known.by_name
    assert known.named >= 0.6 * known.asked_by_picture
    assert KNOWN.profession in {e.get("answer") for e in known.forget if "image" not in e}
    assert f"gives the name in {known.named} of {known.asked_by_picture} answers" in str(known)
    # The face of one and the name of another: the photos are then not known by that name.
    stranger = ask_about(model, processor, Person("Zora Unheard", photos / "her"), batch_size=64)
    assert not stranger.by_picture
    assert not any("image" in example for example in stranger.forget)


def test_who_is_not_known_is_not_forgotten_and_that_is_said(llava):
    model, processor = llava
    model.generate = lambda input_ids, **_: input_ids  # answers nothing, whoever it is asked about
    told = []
    with pytest.raises(NothingToForgetError, match=r"does not know Zora Unheard.* There is nothing to forget"):
        forget(model, processor, Person("Zora Unheard"), tell=told.append)
    assert told == [f"Zora Unheard: the model has something to tell in 0 of {len(OF_PEOPLE.by_name)} answers by name."]
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize(
    ("what", "options", "says"),
    [
        ([], {}, "must be a Person, Brand, Artist, Topic or Fact .* got none"),
        ("Ada", {}, "must be a Person, .* got str"),
        ([Person("Ada"), Person("ada ")], {}, "names 'Ada' twice"),
        ([Person("Ada"), Fact("Who?", "Ada", new="Ben")], {}, "an adapter of its own"),
        (Fact("Who?", "Ada", new="Ben"), {"answer": "unknown"}, "Give `new` of the fact, or `answer`"),
    ],
)
def test_what_cannot_be_forgotten_together_is_refused_before_the_model_is_asked(llava, what, options, says):
    with pytest.raises(ValueError, match=says):
        forget(*llava, what, **options)


def test_a_topic_takes_no_pictures():
    with pytest.raises(ValueError, match="`pictures` of a topic"):
        Topic("lock picking", [picture()])


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
