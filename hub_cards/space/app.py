"""A model's answers with and without forget adapters. BASE_MODEL and ADAPTERS are variables of the Space."""

import os

from hf_eraser.app import launch


missing = [name for name in ("BASE_MODEL", "ADAPTERS") if not os.environ.get(name)]
if missing:
    raise SystemExit(f"Set {' and '.join(missing)} under Settings, Variables; this Space's README says how.")

launch(os.environ["BASE_MODEL"], os.environ["ADAPTERS"].split())
