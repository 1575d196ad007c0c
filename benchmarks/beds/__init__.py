"""Test beds with a real language model: SmolLM2-135M alone, and as the text decoder of a LLaVA taught people."""
