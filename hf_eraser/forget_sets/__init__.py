"""From what somebody has, a name and photos, to example sets, and from these to an adapter."""

from .forgetting import NothingToForgetError, forget_person
from .person import Person
from .writing import write_sets


__all__ = ["NothingToForgetError", "Person", "forget_person", "write_sets"]
