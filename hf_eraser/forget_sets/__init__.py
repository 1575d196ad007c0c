"""From what somebody has, names, pictures and facts, to example sets, and from these to an adapter."""

from .fact import Fact, read_facts
from .forgetting import NothingToForgetError, forget
from .subject import Artist, Brand, Person, Subject, Topic
from .writing import write_sets


__all__ = [
    "Artist",
    "Brand",
    "Fact",
    "NothingToForgetError",
    "Person",
    "Subject",
    "Topic",
    "forget",
    "read_facts",
    "write_sets",
]
