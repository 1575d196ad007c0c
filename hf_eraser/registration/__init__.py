"""
Makes PEFT and transformers know the method `STEERING`, and puts right what they lack for it.

Together with `tuner/peft_type.py` and `hub/base_commit.py`, which lower rooms need, this room is all that changes the
two; written against peft 0.21.2 and transformers 5.23.0. The page "Patches" of the documentation lists each change,
and what else is private that the tuner builds on.
"""

from .register import register


__all__ = ["register"]
