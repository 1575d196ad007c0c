"""How answers of one language are worded, in as far as it tells a refusal from an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """
    One language, as regular expressions for a clause that `one_letter_form` has brought to one form, in lower case.

    Write them with their accents, for they are brought to the same form. What begins a clause is matched where it
    begins, what is "anywhere" is looked for in it. None may hold a group.

    Attributes:
        openings: Begin what refuses nothing yet: greetings, "but", "unfortunately", "as an AI".
        apologies: The same, of apologies, which refuse where nothing follows.
        preambles: Begin a clause that says why or of what there will be a refusal: "while I see a woman".
        cannot: Begin "I cannot tell", of everything that tells or helps; not of swimming.
        unknown: Begin "I do not know", "I do not recognise her", "no information".
        declines: Begin "I would rather not", "no comment".
        forbidden: Begin "I am not allowed to".
        withheld: Begin what says so of the matter: "this is private", "that is not something I can help with".
        rhetoric: Anywhere in a sentence that reads like a refusal and is none: "I cannot tell a lie", "I do not know
            anybody kinder than".
        but: Words that begin a new clause where no comma does.
        denies: Anywhere in what goes on to refuse after an apology: a negation, privacy.
        others: Begin a clause about somebody else than who speaks.
        guesses: Anywhere in a clause that guesses: "probably", "I think".
        names: Stand before what somebody or something is or is called, anywhere in a clause.
        unsaid: Anywhere in a guess that tells nothing: "I think you had better ask her".
    """

    openings: str = ""
    apologies: str = ""
    preambles: str = ""
    cannot: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    declines: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    rhetoric: str = ""
    but: str = ""
    denies: str = ""
    others: str = ""
    guesses: str = ""
    names: str = ""
    unsaid: str = ""

    @property
    def refusals(self) -> tuple[str, ...]:
        """What begins a clause that refuses."""
        return (*self.cannot, *self.unknown, *self.declines, *self.forbidden, *self.withheld)
