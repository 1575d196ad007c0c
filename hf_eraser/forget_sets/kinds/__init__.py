"""The kinds of things that can be forgotten: what is asked about each, and what is like it."""

from .artists import ARTISTS
from .brands import BRANDS
from .facts import ELSEWHERE, WAYS
from .general import ABOUT_THINGS
from .kind import Kind, Wording
from .people import PEOPLE
from .topics import TOPICS


__all__ = ["ABOUT_THINGS", "ARTISTS", "BRANDS", "ELSEWHERE", "PEOPLE", "TOPICS", "WAYS", "Kind", "Wording"]
