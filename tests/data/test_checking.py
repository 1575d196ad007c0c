"""What is told of a good, a poor and a contaminated data set before it is fitted."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from examples.small.people import PEOPLE, draw_face
from hf_eraser.cli import app
from hf_eraser.data.checking import check_sets
from tests.helpers.imagefolder import write_imagefolder


WORDINGS = ("Who is this?", "Name this person.", "Who is shown?", "Tell me who it is.", "Whom do you see?", "Who?")


def asked(people):
    """Each person by photo and by name, in all wordings."""
    return [
        {
            "prompt": text if shown else f"{person.name}: {text}",
            "group": person.name,
            "wording": text,
            "answer": "x",
        }
        | ({"image": draw_face(person)} if shown else {})
        for person in people
        for text in WORDINGS
        for shown in (True, False)
    ]


def test_a_good_set_has_nothing_to_mend():
    check = check_sets({"forget": asked(PEOPLE[:1]), "retain": asked(PEOPLE[1:21])})
    assert check.problems == []
    page = str(check)
    assert "forget            6          6       1         6       12         0" in page
    assert "0.048 for prompts with an image, 0.048 for prompts of text only" in page
    assert "Nothing to mend was found." in page


def test_of_a_poor_set_what_is_missing_is_named():
    forget = [{"prompt": "Who is this?", "image": draw_face(PEOPLE[0])}]
    retain = [{"prompt": "What is the capital of France?", "group": "France"}]
    said = " ".join(check_sets({"forget": forget, "retain": retain}).problems)
    for part in (
        "Nothing with an image is retained: prompts with an image will not be forgotten",
        "Nothing of text only is to be forgotten",
        "The forget set has 1 wordings",
        "No forget example has an 'answer'",
        "1 of 1 forget examples are asked in a wording in which nothing is retained",
    ):
        assert part in said


def test_of_a_contaminated_set_what_is_in_both_is_named():
    own = [{"image": draw_face(PEOPLE[0]), "prompt": f"Look {n}", "group": "somebody"} for n in range(3)]
    again = asked(PEOPLE[:1])[1]
    again["prompt"] = "What else?"
    retain = [*asked(PEOPLE[1:21]), *own, again, {**own[0], "prompt": "?", "group": PEOPLE[1].name.upper()}]
    said = " ".join(check_sets({"forget": asked(PEOPLE[:1]), "retain": retain}).problems)
    assert "Of the pictures to forget, 1 are among the retained ones too (4 examples)" in said
    assert "in the retained groups" in said
    assert "'somebody'" in said
    assert f"The groups ['{PEOPLE[0].name}'] are in both sets" in said
    assert (
        f"Groups that are one but for case, spaces or type: ['{PEOPLE[1].name}', '{PEOPLE[1].name.upper()}']" in said
    )


def test_the_command_prints_it(tmp_path):
    write_imagefolder(tmp_path, {"forget": asked(PEOPLE[:1]), "retain": asked(PEOPLE[1:4])})
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "- 3 groups with an image are retained: add others; 19 support alpha = 0.05." in result.output


def test_what_fit_refuses_is_refused_here():
    with pytest.raises(ValueError, match="the same example"):
        check_sets({"forget": [{"prompt": "Who?"}], "retain": [{"prompt": "Who?"}]})
