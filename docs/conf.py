"""Settings of the documentation. It is built from the installed cgru, by `.ci/docs OUTDIR`, and fetches nothing."""

import os

# Else autodoc may read a stub in the place of the compiled module beside it, whose docstrings are what is wanted.
os.environ["SPHINX_AUTODOC_IGNORE_NATIVE_MODULE_TYPE_STUBS"] = "1"

import cgru

project = "cgru"
author = "the cgru authors"
copyright = "the cgru authors, BSD-3-Clause"
version = release = cgru.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "py:obj"             # `GRU` in a docstring: a link where it is a name, and code where it is not

# Tables list the names, and the directives below them document each one: pages that autosummary makes of its own would
# document everything a second time.
autosummary_generate = False
autodoc_default_options = {"member-order": "groupwise"}
autodoc_typehints = "none"          # the docstrings say it in words
autodoc_preserve_defaults = True
add_module_names = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

doctest_test_doctest_blocks = ""    # the docstrings' examples are the tests' business; here it is the pages'
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = f"cgru {release}"
html_static_path = ["_static"]
html_css_files = ["cgru.css"]
html_show_sphinx = False
html_copy_source = False


def without_self(app, what, name, obj, options, signature, returned):
    """Compiled methods have their signature from Cython, with a `self` that nobody passes."""
    if what in ("class", "method") and signature:
        for first in ("(self, ", "(self"):
            if signature.startswith(first):
                return "(" + signature.removeprefix(first), returned
    return None


def setup(app):
    """Before numpydoc, which looks at signatures at 500."""
    app.connect("autodoc-process-signature", without_self, priority=100)
