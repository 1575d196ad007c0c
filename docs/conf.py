"""How the documentation is built: `sphinx-build -W --keep-going -b html docs docs/_build/html`, or `make docs`."""

import sys
from pathlib import Path


sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]  # for `generated`, and what it draws

from hf_eraser.version import __version__


project = "hf_eraser"
author = "The hf_eraser authors"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "generated"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# Docstrings are Google's style, with code between single backticks: it is a link where it names something that is
# documented here, and code anywhere else.
default_role = "py:obj"
smartquotes_action = "D"  # of the two hyphens that autodoc writes, dashes; quotes stay as they are
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
# The app's functions are documented without what serves them.
autodoc_mock_imports = ["gradio"]

html_theme = "furo"
html_title = "hf_eraser"
pygments_dark_style = "a11y-high-contrast-dark"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
