import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plasticjax"
TIERS = {
    "runtime": 0,
    "neurons": 1,
    "synapses": 1,
    "plasticity": 1,
    "energy": 1,
    "simulate": 2,
    "evolution": 3,
    "hardware": 3,
    "dendrites": 3,
    "sampling": 3,
    "inference": 3,
    "models": 4,
    "training": 4,
    "data": 4,
    "plotting": 4,
}
OPTIONAL = ("matplotlib", "pooch", "orbax", "rich", "sympy", "sklearn", "PIL")
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def _imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Yields the absolute dotted name, split, of everything that a file imports anywhere."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield (*base, *module, alias.name)


def _rooms_imported_by(path: Path) -> set[str]:
    found = {name[1] for name in _imports(path) if name[0] == "plasticjax" and len(name) > 1}
    return found & TIERS.keys()


def test_every_room_has_a_tier():
    assert set(ROOMS) <= TIERS.keys()
    assert "runtime" in ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_lower_tiers(room):
    for path in (PACKAGE / room).rglob("*.py"):
        wrong = {
            other for other in _rooms_imported_by(path) - {room} if TIERS[other] >= TIERS[room]
        }
        assert not wrong, f"{path.relative_to(ROOT)} imports from {', '.join(sorted(wrong))}"


def test_the_package_imports_nothing_around_it():
    for path in PACKAGE.rglob("*.py"):
        around = {name[0] for name in _imports(path)} & {"experiments", "benchmarks", "tests"}
        assert not around, f"{path.relative_to(ROOT)} imports {around}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_circles_inside_a_room(room):
    files = {("plasticjax", room, path.stem): path for path in (PACKAGE / room).glob("_[!_]*.py")}
    graph = {
        name: {
            imported[:3]
            for imported in _imports(path)
            if imported[:3] in files and imported[:3] != name
        }
        for name, path in files.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circular imports: {' -> '.join(name[2] for name in error.args[1])}")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_lists_its_names_and_nothing_else(room):
    source = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    imported, listed = [], []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{room} re-exports from outside the room"
            imported += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Assign):
            assert [ast.unparse(target) for target in node.targets] == ["__all__"]
            listed += ast.literal_eval(node.value)
        else:
            assert isinstance(node, ast.Expr), f"{room}: {ast.unparse(node)}"
    assert sorted(imported) == sorted(listed)


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_importing_plasticjax_needs_no_extra():
    rooms = "".join(f"\nimport plasticjax.{room}" for room in ROOMS)
    loaded = _modules_after(f"import plasticjax{rooms}")
    assert "jax" in loaded
    assert loaded.isdisjoint(OPTIONAL)
