"""Attacks on what was fitted: pictures perturbed by gradients, and what the gate withstands."""
