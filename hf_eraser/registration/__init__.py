"""
Makes PEFT and transformers know the method `STEERING`, and puts right what they lack for it.

Together with `tuner/peft_type.py` and `hub/base_commit.py`, which lower rooms need, this room is the only one that
touches private or version-dependent parts of the two; written against peft 0.21.2 and transformers 5.23.0. The page
"Patches" of the documentation lists each.
"""

from .register import register


__all__ = ["register"]
