"""The app: a page that asks a model with and without its adapters."""

from .server import build_app, launch, load, serve


__all__ = ["build_app", "launch", "load", "serve"]
