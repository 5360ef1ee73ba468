"""On a processor that has no row in the table: the loader's answer, with its compiled module, without NumPy.

    python .ci/no_engine.py ENVIRONMENT

NumPy's wheels end with an illegal instruction on such a processor when they are imported. So this runs the loader, and
the module that asks the processor, with a stand-in for NumPy: what is shown is that cgru's part does not.
"""

import importlib.util
import sys
import types
from pathlib import Path

(package,) = Path(sys.argv[1]).glob("lib/python3*/site-packages/cgru")
sys.modules["numpy"] = types.ModuleType("numpy")
for name in ("cgru", "cgru.engines"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [str(package.joinpath(*name.split(".")[1:]))]
sys.modules["cgru.activations"] = types.ModuleType("cgru.activations")
sys.modules["cgru.activations"].code = None

spec = importlib.util.spec_from_file_location("cgru.engines", package / "engines" / "__init__.py")
spec.submodule_search_locations = [str(package / "engines")]
engines = sys.modules["cgru.engines"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(engines)
assert engines.isas_built() and not engines.isas_usable(), (engines.isas_built(), engines.features())
try:
    engines.choose_isa()
except engines.NoEngine as error:
    print(error)
    assert "can run none of them" in str(error) and "SSE4.2" in str(error)
else:
    sys.exit("an instruction set was chosen")
