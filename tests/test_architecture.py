"""The import arrows of docs/architecture.md, read from the source, not from what happens to run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = {"errors", "convention", "spec", "question", "record", "profile_record", "workload"}
# room -> rooms it may import besides the vocabulary and itself
ALLOWED = {
    "vocabulary": set(),
    "data": set(),
    "accounting": {"data"},
    "measure": {"accounting", "data"},
    "prediction": {"accounting", "data"},
    "tpu": {"measure", "accounting", "data"},
    "store": {"accounting", "data"},
    "analysis": {"prediction", "store", "accounting", "data"},
    "report": {"analysis", "prediction", "store", "accounting", "data"},
}
TOP = {"build", "run", "ui", "commands", "cli"}
NO_TORCH = {"vocabulary", "data", "accounting", "store", "analysis", "report"}
HEAVY = {"torch", "torchvision", "timm", "streamlit", "zoo", "onnx", "onnxruntime"}


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "explorer").parts
    name = parts[0].removesuffix(".py")
    if name == "__init__" or name in VOCABULARY:
        return "vocabulary"
    return name


def imported(path: Path) -> set[str]:
    """Every module imported anywhere in the file, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def explorer_rooms(modules: set[str]) -> set[str]:
    rooms = set()
    for module in modules:
        parts = module.split(".")
        if parts[0] == "explorer" and len(parts) > 1:
            rooms.add("vocabulary" if parts[1] in VOCABULARY or parts[1].startswith("_") else parts[1])
    return rooms


EXPLORER_FILES = sorted((ROOT / "explorer").rglob("*.py"))


@pytest.mark.parametrize("path", EXPLORER_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_down(path: Path) -> None:
    room = room_of(path)
    used = explorer_rooms(imported(path)) - {room, "vocabulary"}

    if room in TOP:
        assert used <= set(ALLOWED) | TOP
    else:
        assert used <= ALLOWED[room], f"{room} must not import {used - ALLOWED[room]}"


# the floors of `analysis`, from the ground up; each module or package imports those before it
ANALYSIS = (
    *("result", "axis", "loading", "blocks", "binomial", "bootstrap", "pool", "costs", "training_runs"),
    "claims",
    *("scoring", "statistics", "choice", "tail_costs", "search", "curves", "published", "advice", "planning"),
)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "explorer" / "analysis").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_floors_of_analysis(path: Path) -> None:
    parts = path.relative_to(ROOT / "explorer" / "analysis").parts
    if parts == ("__init__.py",):
        return
    floor = ANALYSIS.index(parts[0].removesuffix(".py"))
    modules = [module.split(".") for module in imported(path)]
    used = {m[2] for m in modules if m[:2] == ["explorer", "analysis"] and len(m) > 2}

    assert used <= set(ANALYSIS[: floor + 1]), f"above it: {used - set(ANALYSIS[: floor + 1])}"


@pytest.mark.parametrize("path", EXPLORER_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lower_rooms_do_not_import_what_is_heavy(path: Path) -> None:
    heads = {module.split(".")[0] for module in imported(path)}
    room = room_of(path)

    if room in NO_TORCH:
        assert not heads & HEAVY
    if room in ("measure", "prediction", "tpu"):
        assert not heads & (HEAVY - {"torch"})


@pytest.mark.parametrize("path", sorted((ROOT / "zoo").rglob("*.py")), ids=lambda p: p.name)
def test_zoo_never_imports_explorer(path: Path) -> None:
    assert "explorer" not in {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize(
    "path", [*EXPLORER_FILES, *sorted((ROOT / "zoo").rglob("*.py"))], ids=lambda p: str(p.relative_to(ROOT))
)
def test_modules_stay_readable(path: Path) -> None:
    """The size budget of CONTRIBUTING: 400 lines a module, 60 a function, 7 parameters."""
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 400

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and "migrations" not in path.parts:
            assert node.end_lineno - node.lineno <= 60, f"{node.name} is too long"
            # a command's parameters are its options: click passes each by name
            if "commands" not in path.parts:
                count = len(node.args.args) + len(node.args.kwonlyargs)
                assert count <= 8, f"{node.name} has {count} parameters"
