"""Teach the small models that are not in the cache yet: `python -m examples.small [llava | qwen2_5_vl]`."""

from __future__ import annotations

import sys
import time

from .load import SMALL_MODELS, accuracy, load_small_model, model_dir
from .questions import questions


def main() -> None:
    """Teach what is missing, and say what each model knows in wordings and pictures that it was not taught."""
    for name in sys.argv[1:] or SMALL_MODELS:
        known = model_dir(name).exists()
        start = time.perf_counter()
        model, processor = load_small_model(name)
        print(f"{name}: {'loaded' if known else 'taught'} in {time.perf_counter() - start:.0f} s ({model_dir(name)})")
        if not known:
            for kind, share in accuracy(model, processor, questions("measure", per_fact=1)).items():
                print(f"  {kind:14s} {share:6.1%}")


if __name__ == "__main__":
    main()
