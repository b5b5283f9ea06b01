"""The house rules that a tool can check: who may import whom, how long functions are, what files may say."""

import ast
import doctest
import re
import statistics
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. A module imports from its own floor and from those below. A room stands for all that is in it, but
# for what is named on a lower floor. A file that fits nowhere needs a place here, and a sentence in ARCHITECTURE.md.
FLOORS = (
    ("errors", "scope", "context"),
    ("model", "vectors", "home", "ambient", "text", "llm", "stores"),
    ("records", "policies", "reports", "events", "knowledge", "index", "testing"),
    ("learn", "recall", "maintain"),
    ("assemble", "journeys"),
    ("runtime",),
    (
        "facts",
        "sessions",
        "checkpoints",
        "ticket",
        "turn",
        "wrapping",
        "jobs",
        "upkeep",
        "stats",
        "privacy",
        "providers.base",
        "providers.own",
    ),
    ("memory",),
    ("sync", "providers"),
    ("",),
    ("cli",),
)
STEPS = ("learn.*", "recall.*", "maintain.*")
# The reader of English is one step in many rooms. The worker knows the steps that it takes, the list of strategies all.
OFFLINE = {"learn.offline", "learn.english"}
KNOWING = {"learn.worker", "maintain.strategies"}

CORE = {
    ".".join(path.relative_to(ROOT / "ltm_core").with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted((ROOT / "ltm_core").rglob("*.py"))
    if "migrations" not in path.parts
}
ADAPTERS = sorted((ROOT / "adapters").rglob("*.py"))
MARKDOWN = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]


def _part(module: str) -> str:
    return ".".join(module.split(".")[:2])


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import that can run, those inside functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not _for_types_only(child):
            yield from _imports(child)


def _targets(module: str, statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules of ltm_core that `statement`, standing in `module`, brings in."""
    if isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    else:
        base = _absolute(module, statement)
        deeper = [f"{base}.{alias.name}" for alias in statement.names]
        names = [name if name.removeprefix("ltm_core.") in CORE else base for name in deeper]
    for name in names:
        if name.partition(".")[0] == "ltm_core":
            yield name.removeprefix("ltm_core").removeprefix(".")


def _absolute(module: str, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    package = ["ltm_core", *filter(None, module.split("."))]
    if CORE[module].name != "__init__.py":
        package.pop()
    package = package[: len(package) - statement.level + 1]
    return ".".join([*package, *filter(None, [statement.module])])


def _arrows() -> set[tuple[str, str]]:
    arrows = {
        (module, target)
        for module, path in CORE.items()
        for statement in _imports(_tree(path))
        for target in _targets(module, statement)
    }
    return {(module, target) for module, target in arrows if module != target}


def _is_in(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def _floor(module: str) -> int:
    fits = [number for number, names in enumerate(FLOORS) if any(_is_in(module, name) for name in names)]
    assert fits, f"ltm_core.{module} stands on no floor: give it a place in FLOORS"
    return fits[0]


def _is_step(module: str) -> bool:
    return any(fnmatchcase(module, step) for step in STEPS)


def test_every_module_stands_on_a_floor() -> None:
    assert all(_floor(module) >= 0 for module in CORE)


def test_imports_only_go_down_the_floors() -> None:
    upward = [f"{module} -> {target}" for module, target in sorted(_arrows()) if _floor(module) < _floor(target)]
    assert upward == []


def test_modules_do_not_import_in_circles() -> None:
    graph: dict[str, set[str]] = {module: set() for module in CORE}
    for module, target in _arrows():
        graph[module].add(target)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_steps_do_not_import_each_other() -> None:
    between = {
        (module, target)
        for module, target in _arrows()
        if _is_step(module)
        and _is_step(target)
        and module not in KNOWING
        and not {_part(module), _part(target)} <= OFFLINE
    }
    assert between == set()


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_adapters_import_only_the_public_face(path: Path) -> None:
    import ltm_core

    public = set(getattr(ltm_core, "__all__", ()))
    for statement in _imports(_tree(path)):
        if isinstance(statement, ast.Import):
            assert not [alias.name for alias in statement.names if alias.name.startswith("ltm_core.")]
        elif (statement.module or "").startswith("ltm_core") and not statement.level:
            assert statement.module == "ltm_core", f"line {statement.lineno} reaches behind the face"
            assert {alias.name for alias in statement.names} <= public


def test_adapters_is_a_folder_and_not_a_package() -> None:
    assert not (ROOT / "adapters" / "__init__.py").exists(), "it would hide the distribution called adapters"


def _lengths() -> list[int]:
    """Lines of each function in ltm_core, its docstring left out."""
    functions = [
        node
        for path in CORE.values()
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [_lines(function) - _docstring_lines(function) for function in functions]


def _docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return _lines(function.body[0]) if ast.get_docstring(function) else 0


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_the_median_function_is_short() -> None:
    lengths = _lengths()
    median = statistics.median(lengths)
    print(f"{len(lengths)} functions: median {median} lines, longest {max(lengths)}")  # noqa: T201
    assert median <= 10


def _errors() -> list[ast.ClassDef]:
    return [node for node in _tree(CORE["errors"]).body if isinstance(node, ast.ClassDef)]


def test_every_error_says_in_its_docstring_what_happened() -> None:
    assert [error.name for error in _errors() if not ast.get_docstring(error)] == []


def test_the_tree_of_errors_is_drawn_whole() -> None:
    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+)(?: {2,}|$)", ast.get_docstring(_tree(CORE["errors"])) or "", re.MULTILINE)
    assert drawn == [error.name for error in _errors()]


# Written so that this file does not contain what it looks for.
_PRIVATE_PATHS = re.compile(r"(?<![\w.>])/(work|tmp|root|opt)/")
_INDEX_HOSTS = re.compile(r"pypi\.|python[h]osted|index[-_]url|find[-_]links", re.IGNORECASE)
_OURS = {".ci", ".github"}


def _texts() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        folders = path.relative_to(ROOT).parts[:-1]
        hidden = any(folder.startswith(".") and folder not in _OURS for folder in folders)
        if path.is_file() and not hidden and not {"__pycache__", "dist"}.intersection(folders):
            yield path


def test_no_file_names_a_path_of_one_machine_or_a_package_index() -> None:
    said = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in _texts()
        for pattern in (_PRIVATE_PATHS, _INDEX_HOSTS)
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert said == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_in_the_docs_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_in_the_docs_hold(page: Path) -> None:
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


def test_whatever_make_installs_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.partition("==")[0] for line in lines if re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["cli"]
    wanted += project["dependency-groups"]["dev"] + project["build-system"]["requires"]
    assert {re.split(r"[^\w-]", requirement)[0].lower() for requirement in wanted} - pins == set()


def test_local_servers_listen_on_this_machine_only() -> None:
    ports = re.findall(r'- "?([\d.]*):?\d+:\d+"?$', (ROOT / "compose.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(ports) == {"127.0.0.1"}
