from Cython.Build import cythonize
from setuptools import Extension, setup

import cgru

include = [cgru.get_include()]
extensions = [
    Extension("amp", ["amp.c"], include_dirs=include),
    Extension("voice", ["voice.pyx"], include_dirs=include),
]
setup(name="voices", ext_modules=cythonize(extensions, language_level=3))
