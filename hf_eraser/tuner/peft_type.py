"""The member `STEERING` of `PeftType`, which PEFT has no public way to add. Written against peft 0.21.2."""

from __future__ import annotations

from peft import PeftType


def _peft_type_member(name: str) -> PeftType:
    """
    The member `name` of `PeftType`, added if it is not there.

    `register_peft_method` insists on a member, and PEFT (0.21) has no public way to add one. All three look-ups,
    `PeftType(name)`, `PeftType[name]` and `PeftType.name`, and pickling work on what is added.
    """
    if name in PeftType.__members__:
        return PeftType[name]
    member = str.__new__(PeftType, name)
    member._name_ = name
    member._value_ = name
    type.__setattr__(PeftType, name, member)
    PeftType._member_names_.append(name)
    PeftType._member_map_[name] = member
    PeftType._value2member_map_[name] = member
    return member


STEERING = _peft_type_member("STEERING")
