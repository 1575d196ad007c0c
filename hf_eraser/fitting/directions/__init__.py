"""Erasure directions: from recall to refusal."""
