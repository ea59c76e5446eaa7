"""The conventions in CONTRIBUTING.md that can be checked: layers, lengths, names, docstrings, lazy imports."""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "lateshift"

PUBLIC = (
    "Attempt",
    "BackgroundJob",
    "Call",
    "Cancel",
    "Job",
    "JobError",
    "JobFailed",
    "JobNotFound",
    "JobTimeout",
    "Lateshift",
    "LateshiftError",
    "Retry",
    "RetryPolicy",
    "Settings",
    "Snooze",
    "WaitTimeout",
    "acancel_job",
    "adelete_job",
    "aenqueue_many",
    "aget_job",
    "alist_jobs",
    "apause_queue",
    "aresume_queue",
    "aretry_job",
    "arun_background_job",
    "await_for_job",
    "background",
    "cache",
    "cancel_job",
    "configure",
    "current_job",
    "delete_job",
    "enqueue_many",
    "freeze_support",
    "get_job",
    "list_jobs",
    "pause_queue",
    "resume_queue",
    "retry_job",
    "run_background_job",
    "wait_for_job",
)

PUBLIC_MODULES = {
    "contrib.web": "asgi_mount wsgi_mount",
    "dashboard": "Role User create_dashboard",
    "errors": "AlreadyStored CallableNotAllowed CallableNotFound InvalidJob InvalidOption InvalidParameters"
    " InvalidSearch JobFailed JobNotFound JobStateError LateshiftError MemoryExceeded NotInsideJob QueryTooSlow"
    " ResultNotStorable SchemaTooNew SchemaTooOld SettingsError SpawnError StorageCorrupt StorageError"
    " StorageUnavailable TransactionEnded WaitTimeout WorkerDied",
    "testing": "FrozenClock assert_enqueued drain enqueued_jobs inline isolated",
}

# From the bottom up. A module may import its own layer and those before it.
LAYERS = {
    "values": "allowlist clock codec context django durations errors events fingerprint hints histogram job keywords"
    " loops options openness outcome parameters positions query redaction retry settings settings_sources"
    " settings_values signature target target_advice target_kinds target_program texts version",
    "storage": "storage",
    "host": "host",
    "app": "app background cache default enqueuing lookup waiting",
    "runtime": "runtime",
    "edges": "__init__ __main__ accounts cli contrib dashboard demo doctor explain freezing judgement pytest_plugin"
    " screen testing testing_attempts testing_loop top wording",
}
LAYER = {part: number for number, layer in enumerate(LAYERS.values()) for part in layer.split()}

DRIVERS = {
    "sqlite3": ("storage.sqlite", "storage.sqlite_connection"),
    "psycopg": ("storage.postgres", "storage.postgres_connection"),
    "pymysql": ("storage.mysql",),
}

FUNCTION_LINES = 40
MODULE_LINES = 400

# What may break a rule, and why. The key is the test's message up to its colon.
EXCEPTIONS: dict[str, str] = {}

# What a program that only enqueues must not wait for: asyncio takes 58 ms to import, click 78, rich 104, psycopg 253.
HEAVY = {"asyncio", "click", "dotenv", "jinja2", "multiprocessing", "psutil", "rich", "starlette", "urllib.request"}
HEAVY |= {"uvicorn", "lateshift.cli", "lateshift.runtime", "logging", "random", "socket"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def repository_files() -> list[Path]:
    """What is in the repository, or will be: git knows, and without git everything that is not hidden or built."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        return [path for line in listing.stdout.splitlines() if (path := ROOT / line).is_file()]
    tops = [ROOT / name for name in ("src", "tests", "docs", "examples", "benchmarks", "requirements", ".ci")]
    return [*ROOT.glob("*.*"), *(path for top in tops for path in top.rglob("*") if path.is_file())]


def python_files() -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".py"]


def modules() -> dict[str, Path]:
    """Our modules by name below the package: "storage.reads"; the package itself is "__init__"."""
    paths = {path.relative_to(SOURCE).with_suffix(""): path for path in SOURCE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


def imports(path: Path) -> set[str]:
    """Everything a module imports, also inside functions, unless only for type checkers: "sqlite3", "lateshift.job"."""
    found, waiting = set(), [tree(path)]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                waiting += node.orelse
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                assert node.level == 0, f"{path}:{node.lineno}: relative import, write it in full"
                found |= {imported(str(node.module), alias.name) for alias in node.names}
            case _:
                waiting += ast.iter_child_nodes(node)
    return found


def imported(module: str, name: str) -> str:
    """What `from module import name` reaches: the submodule if there is one of that name."""
    inside = SOURCE.parent.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inside.is_dir() or inside.with_suffix(".py").exists() else module


@cache
def own_imports() -> dict[str, set[str]]:
    """Our modules, each with those of our modules that it imports."""
    return {
        name: {
            "__init__" if found == "lateshift" else found.removeprefix("lateshift.")
            for found in imports(path)
            if found.split(".")[0] == "lateshift"
        }
        for name, path in modules().items()
    }


def layer(name: str) -> int:
    return LAYER.get(name.partition(".")[0], 0)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.stmt) -> int:
    """Lines from `def` to the end, without the docstring."""
    lines = node.end_lineno - node.lineno + 1
    return lines - len(node.body[0].value.value.splitlines()) if ast.get_docstring(node) else lines


def expect_none(broken: Iterable[str]) -> None:
    """Fail with a line for each place that breaks a rule without being an exception."""
    if lines := [line for line in sorted(broken) if line.partition(":")[0] not in EXCEPTIONS]:
        pytest.fail("\n".join(lines), pytrace=False)


def place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{line}"


def test_every_module_has_a_layer():
    """A new module at the top of the package says on which layer it stands."""
    expect_none(f"{name}: add it to LAYERS" for name in {name.partition(".")[0] for name in modules()} - set(LAYER))


def test_imports_go_down_only():
    """No module imports one of a layer above its own."""
    expect_none(
        f"{name} imports {other}"
        for name, others in own_imports().items()
        for other in others
        if layer(other) > layer(name)
    )


def test_no_import_cycles():
    """No two modules import one another, directly or in a ring, not even inside functions."""
    try:
        TopologicalSorter(own_imports()).prepare()
    except CycleError as error:
        expect_none([" -> ".join(error.args[1])])


def test_no_cycles_of_packages():
    """The same for the folders and modules at the top of the package."""
    graph: dict[str, set[str]] = {}
    for name, others in own_imports().items():
        own = name.partition(".")[0]
        graph.setdefault(own, set()).update({other.partition(".")[0] for other in others} - {own})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        expect_none([" -> ".join(error.args[1])])


def test_files_of_tests_have_names_of_their_own():
    """Pytest imports them by bare names."""
    names = Counter(path.name for path in python_files() if path.name.startswith("test_"))
    expect_none(f"{name}: {number} files" for name, number in names.items() if number > 1)


def test_database_drivers_stay_in_their_files():
    """Only what reaches a database imports its driver."""
    expect_none(
        f"{name} imports {driver}"
        for name, path in modules().items()
        for driver in {found.partition(".")[0] for found in imports(path)} & set(DRIVERS)
        if name not in DRIVERS[driver]
    )


def test_functions_are_short():
    """No function is longer than 40 lines, its docstring not counted."""
    expect_none(
        f"{path.relative_to(ROOT).as_posix()} {node.name}: {length(node)} lines"
        for path in python_files()
        for node in functions(path)
        if length(node) > FUNCTION_LINES
    )


def test_modules_are_short():
    """No module is longer than 400 lines."""
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    expect_none(f"{path.relative_to(ROOT).as_posix()}: {n} lines" for path, n in sizes.items() if n > MODULE_LINES)


def test_public_names_are_pinned():
    """A name becomes public, or stops being so, on purpose."""
    import lateshift

    assert tuple(sorted(lateshift.__all__)) == PUBLIC
    expect_none(f"{name}: lateshift has no such name" for name in PUBLIC if not hasattr(lateshift, name))


def test_names_of_public_modules_are_pinned():
    """As for the package itself, of the modules that a user imports besides it."""
    for where, names in PUBLIC_MODULES.items():
        module = importlib.import_module(f"lateshift.{where}")
        there = getattr(module, "__all__", None) or [
            name
            for name, found in vars(module).items()
            if getattr(found, "__module__", None) == module.__name__ and not name.startswith("_")
        ]
        assert " ".join(sorted(there)) == names, where


def test_public_names_have_docstrings():
    """Every public module, class, function and method in src says what it is for."""
    expect_none(
        place(path, getattr(node, "lineno", 1))
        for path in modules().values()
        for node in public_nodes(tree(path))
        if not ast.get_docstring(node)
    )


def public_nodes(node: ast.Module | ast.ClassDef):
    """A module or class, and what is public in it; the variants of an overload need no docstring each."""
    yield node
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_nodes(child)
        elif (
            isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            and not child.name.startswith("_")
            and "overload" not in map(ast.unparse, child.decorator_list)
        ):
            yield child


def test_tests_have_docstrings():
    """Every test says in a sentence what is so."""
    expect_none(
        place(path, node.lineno)
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    )


def test_nothing_is_left_to_do():
    """No note in the source says that something is missing: it is done, or it is an issue."""
    expect_none(
        place(path, number)
        for path in SOURCE.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX)\b", line)
    )


def test_no_file_names_a_registry_host():
    """Where packages come from is set up on each machine; a lock file holds versions and hashes only."""
    host = re.compile(
        rb"pypi\.org|pythonhosted\.org|npmjs\.org|npmjs\.com|conda\.io|anaconda\.(org|com)"
        rb"|(?m:^(--index-url|--extra-index-url|--find-links|-i|-f) )"
    )
    expect_none(
        place(path, content.count(b"\n", 0, found.start()) + 1)
        for path in repository_files()
        if (found := host.search(content := path.read_bytes()))
    )


@cache
def loaded_by(module: str) -> set[str]:
    code = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("module", "allowed"),
    [("lateshift", set()), ("lateshift.runtime.process", {"lateshift.runtime", "logging", "random"})],
)
def test_heavy_modules_are_imported_when_they_are_needed(module, allowed):
    """Neither a program that enqueues nor a worker that starts waits for what it may never use."""
    assert HEAVY & loaded_by(module) <= allowed


def test_what_every_program_imports_has_few_dataclasses():
    """Each takes 1 ms to make, a Struct none. A job read is one, as FastAPI, Flask and `asdict` take it so."""
    ours = {name for name in modules() if f"lateshift.{name}" in loaded_by("lateshift")}
    assert {name for name in ours if "@dataclass" in modules()[name].read_text(encoding="utf-8")} == {"job"}
