"""How the site is built: `make docs`. Two pages are made from the code at every build, so they cannot fall behind."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate import write_reference
from sphinx.application import Sphinx

from curate import __version__

project = "curate"
author = "The curate maintainers"
copyright = "The curate maintainers, Apache-2.0"  # noqa: A001 – Sphinx's own name
release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "curate"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sourcelink = False
html_static_path: list[str] = []


OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)\)")
"""A link to a file of the repository that is no page: the site carries the file along."""


def carry_files(app: object, name: str, source: list[str]) -> None:
    """Turn links out of ``docs/`` into downloads, which the build checks like any other link."""
    source[0] = OUTSIDE.sub(r"{download}`\1 <\2>`", source[0])


def setup(app: Sphinx) -> None:
    """Write the command and policy references before anything is read."""
    write_reference(Path(__file__).parent / "made")
    app.connect("source-read", carry_files)
