"""
Steering adapters on vLLM, by a plug-in and without a fork.

Nothing here imports PEFT or transformers. What touches vLLM is in `plug_in.py`, `scheduling.py`, `runners.py`,
`caches.py` and `checking.py`; it is private to vLLM and written against the versions in `checking.TESTED`.
"""
