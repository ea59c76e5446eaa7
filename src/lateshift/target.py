"""From a job to its callable path, and from a path to the code: the only place that imports what a name asks for.

The allow-list judges the name before anything is imported, and then where each thing on the way was defined, since a
module in the list may hold names from anywhere (`app.jobs.os.system`). Attributes are read from `__dict__`s: neither a
module's `__getattr__` nor a metaclass can conjure one up.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, Literal, NoReturn, TypeGuard, cast

import msgspec

from lateshift import django
from lateshift.allowlist import AllowList
from lateshift.errors import CallableNotAllowed, CallableNotFound, InvalidJob
from lateshift.job import ExecutorKind
from lateshift.options import JobOptions, read_options
from lateshift.signature import Signature
from lateshift.target_advice import import_hint, no_module, nothing_in_class, nothing_in_module
from lateshift.target_kinds import check_instantiable, check_kind, executor_of, is_function
from lateshift.target_program import MAIN, main_name, program_as_module, program_with, would_repeat
from lateshift.texts import shown

DEFAULT_METHOD: Final = "handle"

BOUND: Final = "it is bound to an object, which is not stored. Pass the class, and the method's name as `method`."

_importing: Final[ContextVar[str | None]] = ContextVar("lateshift_importing", default=None)

Binding = Literal["function", "instance", "class"]


class Target(msgspec.Struct, frozen=True):
    """What a callable path leads to. `function` is plain; `owner` is the class that it was reached through, if any.

    `failed` is the class's hook for a job that has finally failed; each call of it makes an instance of its own.
    """

    path: str
    function: Callable[..., Any]
    owner: type | None
    executor: ExecutorKind
    signature: Signature
    options: JobOptions
    failed: Callable[[BaseException], Any] | None = None
    binding: Binding = "function"

    def bound(self) -> Callable[..., Any]:
        """What to call for one attempt: a method of a new instance, or the function itself."""
        if self.binding == "function":
            return self.function
        holder = self.owner if self.binding == "class" else _instance(self.owner)
        return MethodType(self.function, holder)


def path_of(job: object, method: str | None = None) -> str:
    """The callable path of a class, function or `@background` callable; a dotted name is taken as it is.

    `method` is for classes, `handle` by default. Imports nothing. Raises InvalidJob for what has no importable name.
    """
    if not isinstance(method, str | None):
        raise InvalidJob(
            f"The method of {_name(job)} is a {type(method).__qualname__}, and its name is text. Parameters come "
            "third, or as parameters={...}."
        )
    if method is not None and not method.strip():
        raise InvalidJob(f"The method of {_name(job)} has an empty name: leave it out for {DEFAULT_METHOD!r}.")
    if isinstance(job, str):
        return job.strip() if method in (None, DEFAULT_METHOD) else f"{job.strip()}.{method}"
    if isinstance(job, type):
        return f"{_module_name(job)}.{_qualified_name(job)}.{method or DEFAULT_METHOD}"
    if method not in (None, DEFAULT_METHOD):
        raise InvalidJob(f"{_name(job)} is no class, so it has no method {method!r}: leave the method out.")
    function = _background_function(job) or job
    if is_function(function):
        if (
            function is not job and (owner := vars(job).get("__lateshift_owner__")) is not None
        ):  # a method that it has inherited
            return path_of(owner, function.__name__)
        return f"{_module_name(function)}.{_qualified_name(function)}"
    if isinstance(function, MethodType) and isinstance(function.__self__, type):
        return path_of(function.__self__, function.__name__)
    raise InvalidJob(f"{_name(job)} cannot be a job: {_why_not(job)}")


def resolve_job(job: object, method: str | None, allow: AllowList) -> Target:
    """The code that runs a job as `path_of` takes it. Raises as `path_of` and `resolve` do.

    InvalidJob also for what has the name of another (`functools.wraps` gives it), which would run instead of it.
    """
    own = program_with(_globals_of(_background_function(job) or job))
    target = resolve(path_of(job, method), allow, own)
    if not isinstance(job, str | type):
        _check_not_inside(job, target)
    return target


def resolve(path: str, allow: AllowList, own: ModuleType | None = None) -> Target:
    """The code behind a callable path; for a class its `handle`. Checks everything, imports only what is permitted.

    `own` is the program that was started, if the job was handed over as an object of it.
    Raises CallableNotAllowed, CallableNotFound, and InvalidJob or InvalidOption for a callable that cannot be a job.
    """
    if not allow.permits(path):
        _check_how_started(path, allow)
        allow.check(path)
    return _Resolution(path, allow, own).target()


def _check_how_started(path: str, allow: AllowList) -> None:
    """Refuse what is in the program that was started by its file, though that is in a package: it has another name."""
    found, (stem, *inner) = program_as_module(), path.split(".")
    if found is None or stem != main_name() or not inner or inner[0] not in vars(sys.modules["__main__"]):
        return
    module, folder = found
    name = ".".join((module, *inner))
    advice = "" if allow.permits(name) else f" {allow.advice(module)}."
    raise CallableNotAllowed(
        f"{path!r} may not run: the program was started as a file, though it is in a package, where its name is "
        f"{name}. Start it with `python -m {module}`, in {folder}.{advice}"
    )


def _check_not_inside(job: object, target: Target) -> None:
    """Refuse a job whose name leads to what is inside of it; not one that has only been imported again meanwhile."""
    import inspect  # 13 ms, though today dataclasses imports it as well

    job = job.__func__ if isinstance(job, MethodType) else job
    function: Any = _background_function(job) or job
    if inspect.unwrap(function, stop=lambda found: found is target.function) is not target.function:
        return
    if function is target.function and (job is function or read_options(job, target.owner) == target.options):
        return
    raise InvalidJob(
        f"{_name(job)} has something around it that would be lost: by its name, {target.path}, a worker finds what is "
        "inside. Write the decorator above the `def`, or enqueue the dotted name of the variable that holds it."
    )


def importing() -> str | None:
    """The module that is being imported to get at a job, if this code runs because of that."""
    return _importing.get()


# What the class itself says, past any metaclass.
_DICT: Final = type.__dict__["__dict__"].__get__
_MRO: Final = type.__dict__["__mro__"].__get__
_MODULE: Final = type.__dict__["__module__"].__get__
_QUALNAME: Final = type.__dict__["__qualname__"].__get__


def _is_class(thing: object) -> TypeGuard[type]:
    return issubclass(type(thing), type)


class _Resolution:
    """The way from one path to its target."""

    def __init__(self, path: str, allow: AllowList, own: ModuleType | None) -> None:
        self._path = path
        self._allow = allow
        self._own = own

    def target(self) -> Target:
        segments = self._path.split(".")
        found, owner = self._walk(segments)
        if _is_class(found):
            owner, self._path = found, f"{self._path}.{DEFAULT_METHOD}"
            found = self._member(owner, DEFAULT_METHOD)
        options = read_options(_inside(found), owner)
        function, binding = self._function(found, owner)
        check_kind(function, self._path)
        if binding == "instance":
            check_instantiable(cast("type", owner))
        signature = Signature.of(function, drop_self=binding != "function")
        executor = executor_of(function, options, self._path)
        return Target(self._path, function, owner, executor, signature, options, _failed_hook(owner), binding)

    def _walk(self, segments: list[str]) -> tuple[Any, type | None]:
        """The object at the end of the path, raw, and the class it is in."""
        position, module = _holder(self._modules(segments), segments)
        found: Any = self._attribute(module, segments[position])
        owner: type | None = None
        for name in segments[position + 1 :]:
            if not _is_class(found):
                raise CallableNotFound(
                    f"{self._path!r} does not exist: {_name(found)} has nothing named {name!r} to call."
                )
            owner, found = found, self._member(found, name)
        return found, owner

    def _modules(self, segments: list[str]) -> list[tuple[int, ModuleType]]:
        """The modules along the path, imported, each with the position of the segment after it."""
        modules: list[tuple[int, ModuleType]] = []
        for position in range(1, len(segments)):
            name = ".".join(segments[:position])
            if modules and name not in sys.modules and not _may_contain(modules[-1][1], segments[position - 1]):
                break
            module = self._module(name)
            if module is None:
                break
            modules.append((position, module))
        if not modules:
            missing = no_module(segments[0], of_worker=self._allow.of_worker)
            raise CallableNotFound(f"{self._path!r} was not found: {missing}")
        return modules

    def _module(self, name: str) -> ModuleType | None:
        # The program may have been imported as well: then there is each class of it twice.
        is_own = self._own is not None and name == main_name(vars(self._own))
        known = None if is_own else sys.modules.get(name)
        if known is not None and not getattr(vars(known).get("__spec__"), "_initializing", False):
            return known
        if (failure := django.set_up()) is not None:
            self._not_imported(f"django.setup(), with {django.SETTINGS}={os.environ[django.SETTINGS]},", failure)
        token = _importing.set(name)
        try:
            if known is not None:
                return importlib.import_module(name)  # another thread imports it: wait until it has all its names
            from importlib.util import find_spec  # 2 ms, for a program that hands over the callables themselves

            spec = find_spec(name)
            main = self._own or sys.modules.get("__main__")
            if main is not None and name == main_name(vars(main)) and would_repeat(main, spec):
                return main
            return None if spec is None else importlib.import_module(name)
        except (Exception, SystemExit) as error:
            self._not_imported(f"importing {name}", error)
        finally:
            _importing.reset(token)

    def _not_imported(self, what: str, error: BaseException) -> NoReturn:
        raise CallableNotFound(
            f"{self._path!r} was not found: {what} failed with {type(error).__name__}: {error}{import_hint(error)}"
        ) from error

    def _attribute(self, module: ModuleType, name: str) -> Any:
        if name not in vars(module):
            raise CallableNotFound(f"{self._path!r} does not exist: {nothing_in_module(module, name)}")
        return self._permitted(vars(module)[name], name)

    def _member(self, owner: type, name: str) -> Any:
        for base in _MRO(owner):
            if name in (attributes := _DICT(base)):
                if not self._allow.covers(_origin(base)):
                    self._refuse(f"{name} is inherited from {_origin(base)}", base)
                return self._permitted(attributes[name], name)
        tables = [_DICT(base) for base in reversed(_MRO(owner))]
        raise CallableNotFound(f"{self._path!r} does not exist: {nothing_in_class(_QUALNAME(owner), tables, name)}")

    def _permitted(self, found: Any, name: str) -> Any:
        """What was found, if it is something that may be called or looked into, and comes from inside the list."""
        inner = _unwrapped(found)
        if issubclass(type(inner), ModuleType):
            raise CallableNotAllowed(f"{self._path!r} may not run: {name} is a module that was imported there.")
        if _is_class(inner) or is_function(inner):
            if not self._allow.covers(_origin(inner)):
                self._refuse(f"{name} comes from {_origin(inner)}", inner)
            return found
        if callable(inner) or hasattr(type(inner), "__get__"):
            raise CallableNotAllowed(
                f"{self._path!r} may not run: {name} is an object of type {_origin(type(inner))}, and jobs are "
                "functions and classes. Write a function that calls it."
            )
        raise CallableNotFound(f"{self._path!r} cannot be called: {name} is an object of type {_origin(type(inner))}.")

    def _function(self, found: Any, owner: type | None) -> tuple[FunctionType, Binding]:
        inner = _unwrapped(found)
        if not is_function(inner):
            raise CallableNotFound(
                f"{self._path!r} is a class. Give it another name than `handle`, or name its method."
            )
        if owner is None or isinstance(found, staticmethod):
            return inner, "function"
        return inner, "class" if isinstance(found, classmethod) else "instance"

    def _refuse(self, what: str, thing: Any) -> NoReturn:
        advice, own = self._allow.advice(_module_name(thing, "?")), "write a function of your own that calls it"
        raise CallableNotAllowed(
            f"{self._path!r} may not run: {what}, which LATESHIFT_ALLOWED ({','.join(self._allow.entries)}) does not "
            f"cover. {f'{advice}, or {own}' if advice else own.capitalize()}."
        )


def _holder(modules: list[tuple[int, ModuleType]], segments: list[str]) -> tuple[int, ModuleType]:
    """Which module's attribute comes next: the longest, unless only a shorter one has something by that name."""
    for position, module in reversed(modules):
        found = vars(module).get(segments[position])
        if found is not None and (position == modules[-1][0] or not isinstance(found, ModuleType)):
            return position, module
    return modules[-1]


def _may_contain(package: ModuleType, name: str) -> bool:
    """Whether a submodule may be imported: not if that would take the place of a callable of the same name."""
    attributes = vars(package)
    return "__path__" in attributes and isinstance(attributes.get(name), ModuleType | None)


def _unwrapped(found: Any) -> Any:
    """What is inside of staticmethod, classmethod and @background."""
    inner = _inside(found)
    return _background_function(inner) or inner


def _inside(found: Any) -> Any:
    """What is inside of staticmethod and classmethod."""
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _background_function(job: Any) -> Any:
    if _is_class(job) or is_function(job) or type(job) is MethodType:
        return None
    attributes = getattr(job, "__dict__", {})
    if not isinstance(attributes.get("__lateshift__"), JobOptions):
        return None
    return attributes.get("function")


def _globals_of(thing: Any) -> dict[str, Any] | None:
    """The names that the code of a function or class sees, if there is any code."""
    parts = map(_unwrapped, _DICT(thing).values()) if _is_class(thing) else [thing]
    return next((part.__globals__ for part in parts if is_function(part)), None)


def _origin(thing: Any) -> str:
    """Where a class or function was defined, as a dotted name that an allow-list can judge."""
    return f"{_module_name(thing, '?')}.{_QUALNAME(thing) if _is_class(thing) else getattr(thing, '__qualname__', '?')}"


def _module_name(thing: Any, unknown: str | None = None) -> str:
    name = _MODULE(thing) if _is_class(thing) else getattr(thing, "__module__", None)
    if name in MAIN:
        name = main_name(_globals_of(thing))
    if isinstance(name, str):
        return name
    if unknown is not None:
        return unknown
    raise InvalidJob(
        f"{_name(thing)} has no module that a background process could import. Define it in a file whose name is a "
        "Python name, such as jobs.py; not in a console or notebook."
    )


def _qualified_name(thing: Any) -> str:
    name: str = thing.__qualname__
    if "<lambda>" in name:
        raise InvalidJob("A lambda has no name that a background process could find it by: write a function with def.")
    if "<locals>" in name:
        raise InvalidJob(
            f"{name} is defined inside a function, where a background process cannot find it: move it out, or, if that "
            "function is a decorator, give what it returns @functools.wraps."
        )
    return name


def _why_not(job: object) -> str:
    if isinstance(job, MethodType):
        return BOUND
    if callable(job):
        return f"it is an object of type {_origin(type(job))}. Write a function that calls it, and pass that."
    return "pass a class with a `handle` method, a function (not what it returns), or the dotted name of either."


def _name(thing: object) -> str:
    return str(getattr(thing, "__qualname__", None) or shown(thing))


def _failed_hook(owner: type | None) -> Callable[[BaseException], Any] | None:
    """The class's `failed(error)`; no name from outside leads to it, so it may be inherited from anywhere."""
    if owner is None or not callable(getattr(owner, "failed", None)):
        return None
    made = owner

    def failed(error: BaseException) -> Any:
        return cast("Any", _instance(made)).failed(error)

    return failed


def _instance(owner: Any) -> object:
    instance = owner()
    if owner not in _MRO(type(instance)):  # isinstance() believes an object's own __class__
        raise InvalidJob(f"{_name(owner)}() gave {type(instance).__qualname__}, not one of its own instances.")
    return cast("object", instance)
