"""The paper's gate: blind to every direction that retained inputs use, fitted to be 1 on forget inputs."""

from __future__ import annotations

import torch
from torch import Tensor


def null_space(second_moment: Tensor, *, share: float | None = None, energy: float | None = None) -> Tensor:
    """
    A basis of the approximate null space of the retained inputs: the directions in which they have least energy.

    AlphaSteer's projector (arXiv 2506.07022) is `P = U0 U0^T` with this basis U0; it is never formed.

    Args:
        second_moment: Uncentred second moment of the retained readouts, (d, d), float64.
        share: The share of all d directions that is taken, in (0, 1], whatever energy they hold (the paper).
        energy: Instead, as many directions as together hold at most this share of the energy, in [0, 1).

    Returns:
        U0, (d, m) with orthonormal columns, float64; m = max(1, floor(share * d)) where a share is given.

    Raises:
        ValueError: If not one of `share` and `energy` is given, or it is out of its range, or if the retained inputs
            have more than that energy in each direction: then there is no null space.
    """
    if (share is None) == (energy is None):
        raise ValueError(f"Give `share` or `energy`, got {share!r} and {energy!r}.")
    values, vectors = torch.linalg.eigh(second_moment)  # eigenvalues ascending
    if share is not None:
        if not 0 < share <= 1:
            raise ValueError(f"`share` must be in (0, 1], got {share!r}.")
        return vectors[:, : max(1, int(share * len(values)))]
    assert energy is not None
    if not 0 <= energy < 1:
        raise ValueError(f"`energy` must be in [0, 1), got {energy!r}.")
    values = values.clamp(min=0)
    # What rounding leaves of an eigenvalue that is zero must not count.
    rounding = len(values) * torch.finfo(values.dtype).eps * values[-1]
    held = torch.where(values <= rounding, 0.0, values).cumsum(0)
    taken = int((held <= energy * held[-1]).sum())
    if taken == 0:
        raise ValueError(
            f"There is no null space: the retained inputs use all {len(values)} directions, the weakest with "
            f"{float(values[0] / held[-1]):.1e} of their energy, and {energy:g} is allowed. Allow more energy, or use "
            "the ridge estimator, which needs no null space."
        )
    return vectors[:, :taken]


def nullspace_gate(forget: Tensor, basis: Tensor, *, gamma: float, target: Tensor | None = None) -> Tensor:
    """
    The gate vector of MLLMEraser's steering matrix (arXiv 2510.04217), which is `v w^T`: all columns of its regression
    target are the same direction v, so the d x d matrix has rank one exactly. With A = F U0 U0^T

        w = A^T (A A^T + gamma I)^-1 t,  t = 1

    With k directions as columns, each for some of the forget inputs, the matrix is the sum of k such products: t is
    then 1 for a direction's own inputs and 0 for the others.

    Args:
        forget: F, the forget readouts, (n_f, d).
        basis: U0, the null space of the retained readouts, (d, m).
        gamma: The ridge, positive.
        target: t, (n_f,); the default is 1 for all.

    Returns:
        w, (d,), float64, with `w = U0 U0^T w`.

    Raises:
        ValueError: If `gamma` is not positive.
    """
    if not gamma > 0:
        raise ValueError(f"`gamma` must be positive, got {gamma!r}.")
    coordinates = forget.to(torch.float64) @ basis.to(torch.float64)  # (n_f, m); A A^T is its Gram matrix
    n_forget, width = coordinates.shape
    target = torch.ones(n_forget, dtype=torch.float64) if target is None else target.to(torch.float64)
    # Of the two equal forms, the one whose system is smaller.
    if n_forget <= width:
        system = coordinates @ coordinates.T + gamma * torch.eye(n_forget, dtype=torch.float64)
        weight = coordinates.T @ torch.linalg.solve(system, target)
    else:
        system = coordinates.T @ coordinates + gamma * torch.eye(width, dtype=torch.float64)
        weight = torch.linalg.solve(system, coordinates.T @ target)
    return basis.to(torch.float64) @ weight


def leak(second_moment: Tensor, basis: Tensor) -> float:
    """
    The share of retained energy that is left in the null space, `sqrt(E ||P h||^2 / E ||h||^2)`; 0 is none.

    Args:
        second_moment: Uncentred second moment of retained readouts, (d, d), best of ones that did not make the basis.
        basis: (d, m), orthonormal columns.
    """
    inside = torch.einsum("dm,de,em->", basis, second_moment, basis)
    return float((inside.clamp(min=0) / second_moment.trace()).sqrt())
