"""What an operator sets: `--additional-config '{"hf_eraser": {...}}'`, and what a request may choose."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


# The key of these settings in vLLM's `additional_config`, and of a request's choice in its `extra_args`, which are
# `vllm_xargs` over HTTP.
KEY = "hf_eraser"


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        adapters: Folders, or ids on the Hub, by the name that requests know an adapter by.
        default: The adapters of a request that chooses none.
        clients_may_choose: Whether a request may choose, and so switch adapters off.
        allow_untested: Whether a vLLM version that was never tested is tried.
        digests: Of each adapter's files, so that every process acts by the same ones. Filled in at start.
    """

    adapters: dict[str, str]
    default: tuple[str, ...]
    clients_may_choose: bool = False
    allow_untested: bool = False
    digests: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What `settings_of` reads."""
        return {**asdict(self), "default": list(self.default)}

    def chosen(self, extra_args: Mapping[str, Any] | None) -> tuple[str, ...]:
        """
        The adapters of a request.

        Args:
            extra_args: Of its sampling parameters.

        Raises:
            ValueError: If it chooses and may not, or chooses what is not served.
        """
        if not extra_args or KEY not in extra_args:
            return self.default
        given = extra_args[KEY]
        if not self.clients_may_choose:
            raise ValueError(
                f"`{KEY}` was given, but requests do not choose their adapters on this server: leave it out."
            )
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, (list, tuple)) or any(name not in self.adapters for name in names):
            raise ValueError(
                f"`{KEY}` must be a list of adapters that are served, {sorted(self.adapters)}, or empty for none, got "
                f"{reprlib.repr(given)}."
            )
        return tuple(dict.fromkeys(names))


def settings_of(additional_config: object) -> Settings | None:
    """
    The settings in vLLM's `additional_config`; None without them.

    Raises:
        ValueError: If they are not what they have to be.
    """
    if not isinstance(additional_config, Mapping) or KEY not in additional_config:
        return None
    given = additional_config[KEY]
    known = {"adapters", "default", "clients_may_choose", "allow_untested", "digests"}
    if not isinstance(given, Mapping) or (unknown := sorted(given.keys() - known)):
        what = reprlib.repr(given) if not isinstance(given, Mapping) else f"with {unknown}"
        raise ValueError(
            f"`{KEY}` in the additional config must be an object with some of {sorted(known)}, got {what}."
        )
    adapters = given.get("adapters")
    if not isinstance(adapters, Mapping) or not adapters or not _texts([*adapters, *adapters.values()]):
        raise ValueError(
            f"`{KEY}.adapters` must have at least one adapter: a name, and its folder or id on the Hub, got "
            f"{reprlib.repr(adapters)}."
        )
    default = given.get("default", list(adapters))
    if not isinstance(default, (list, tuple)) or any(name not in adapters for name in default):
        raise ValueError(f"`{KEY}.default` must be a list of some of {sorted(adapters)}, got {reprlib.repr(default)}.")
    switches = {name: given.get(name, False) for name in ("clients_may_choose", "allow_untested")}
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise ValueError(f"`{KEY}.{name}` must be true or false, got {reprlib.repr(value)}.")
    if not default and not switches["clients_may_choose"]:
        raise ValueError(
            f"`{KEY}.default` is empty and `clients_may_choose` is false, so that no request would ever be steered."
        )
    return Settings(dict(adapters), tuple(dict.fromkeys(default)), **switches, digests=dict(given.get("digests", {})))


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)
