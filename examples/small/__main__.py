"""
Teach the small models anew, in place of the weights that are shipped: `python -m examples.small [llava | qwen2_5_vl]`.

About 5 minutes each on two cores. Releases of torch and machines differ in what is learnt.
"""

from __future__ import annotations

import sys

from .load import SMALL_MODELS, accuracy, load_small_model, model_dir, teach_and_save
from .questions import questions


def main() -> None:
    """Teach, and say what each model knows in wordings and pictures that it was not taught."""
    for name in sys.argv[1:] or SMALL_MODELS:
        teach_and_save(name, model_dir(name))
        print(f"{name}, taught anew: {model_dir(name)}")
        for kind, share in accuracy(*load_small_model(name), questions("measure", per_fact=1)).items():
            print(f"  {kind:14s} {share:6.1%}")


if __name__ == "__main__":
    main()
