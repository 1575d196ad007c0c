"""Examples in batches."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hf_eraser.data import read_examples
from hf_eraser.data.encoding import _MOST_CHARACTERS, batches


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 30_000), st.booleans()), min_size=1, max_size=30), st.integers(1, 9))
def test_batches_hold_each_example_once_of_one_kind_and_no_more_characters_than_allowed(prompts, batch_size):
    begun = {"role": "assistant", "content": "Well,"}
    examples = read_examples(
        [
            {
                "messages": [{"role": "user", "content": "a" * length}, *([begun] if is_begun else [])],
                "continue_final_message": is_begun,
            }
            for length, is_begun in prompts
        ],
        "examples",
    )
    found = batches(examples, batch_size)
    assert sorted(i for batch in found for i in batch) == list(range(len(examples)))
    for batch in found:
        assert 1 <= len(batch) <= batch_size
        assert len({examples[i].begun for i in batch}) == 1
        longest = max(prompts[i][0] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= _MOST_CHARACTERS
