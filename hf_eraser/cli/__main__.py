"""`python -m hf_eraser.cli`."""

from . import main


main()
