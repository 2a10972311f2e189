"""Find the experiments: the modules of a package that do not start with an underscore."""

import ast
import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import UserError, unknown

_EXPORTS = ("Config", "run", "figure", "CLAIMS")


@dataclass(frozen=True)
class Experiment:
    """An experiment that has not been imported yet."""

    name: str
    summary: str
    module: str

    def load(self) -> Any:
        """Import the module and check that it exports what an experiment has to."""
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            raise UserError(
                f"{self.name} needs {error.name!r}, which is not installed; "
                "install plasticjax with its extra: pip install 'plasticjax[experiments]'"
            ) from error
        missing = [name for name in _EXPORTS if not hasattr(module, name)]
        if missing:
            raise TypeError(f"experiment {self.module} does not export {', '.join(missing)}")
        return module


def discover(package: str = "experiments") -> dict[str, Experiment]:
    """Return the experiments of a package by name, in alphabetical order."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError(f"package is {package!r}; the name of a package is required")
    found = {}
    for folder in spec.submodule_search_locations:
        for info in pkgutil.iter_modules([folder]):
            if not info.name.startswith("_"):
                name = info.name.replace("_", "-")
                summary = _summary(Path(folder) / f"{info.name}.py")
                found[name] = Experiment(name, summary, f"{package}.{info.name}")
    return dict(sorted(found.items()))


def find(name: str, package: str = "experiments") -> Experiment:
    """Return the experiment of a name; suggest the nearest one if there is none."""
    experiments = discover(package)
    if name not in experiments:
        raise unknown("experiment", name, experiments)
    return experiments[name]


def _summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
