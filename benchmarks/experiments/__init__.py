"""
The experiments, a module each: `run` gives the figures of one model, `page` makes a section of the documentation of
the results.
"""

from types import ModuleType

from . import (
    app,
    attacks,
    bed,
    capitals,
    cost,
    directions,
    false_steering,
    fits,
    forgetting,
    gate_modes,
    how_many,
    names,
    perturbed_pictures,
    photos,
    processes,
    quantised,
    requests,
    serving,
    sizes,
    supported,
    teaching,
    too_little,
    wild,
)


#: In the order of the documentation.
EXPERIMENTS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        forgetting,
        fits,
        too_little,
        wild,
        capitals,
        attacks,
        false_steering,
        how_many,
        gate_modes,
        directions,
        perturbed_pictures,
        photos,
        names,
        cost,
        sizes,
        processes,
        app,
        quantised,
        requests,
        serving,
        supported,
        teaching,
        bed,
    )
}
