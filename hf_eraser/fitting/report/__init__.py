"""The report of a fit: its numbers, its warnings and its picture."""
