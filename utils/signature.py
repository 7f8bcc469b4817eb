"""What a constructor accepts, read from its source, so that a configuration is checked before torch is imported."""

import ast
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from utils.words import written

_PLAIN_TYPES = {**vars(typing), **vars(__import__("builtins")), "Path": Path, "Mapping": Mapping, "Sequence": Sequence}
NUMBER, WHOLE, TRUTH = "a number (such as 0.01)", "a whole number (such as 3)", "true or false"
FITTING = {  # in plain words, by pydantic's name for the mistake
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), TRUTH),
    **dict.fromkeys(("list_type", "tuple_type"), "a list (such as [1, 2])"),
    **dict.fromkeys(("dict_type", "model_attributes_type"), "names with values (such as {a: 1})"),
    "string_type": "text",
    "missing": "a value, and there is none",
    "extra_forbidden": "no such name",
    "json_invalid": "JSON",
}
MOST_NAMED = 30  # where nothing is close: all optimizers' yamls, not all of timm's networks


@dataclass
class Signature:
    """Parameters by name with their type (None where it is unknown or not a plain one)."""

    types: dict[str, Any] = field(default_factory=dict)
    open_ended: bool = False  # takes **options that no base class names


def nearest(name: str, known: Sequence[str]) -> str:
    """A half sentence that helps after a misspelt name: the closest known ones, or MOST_NAMED of all if none is."""
    known = sorted(set(known))
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(known) - MOST_NAMED:,} more" if len(known) > MOST_NAMED else ""
    return f"known are: {', '.join(known[:MOST_NAMED])}{more}"


def problems(target: str, arguments: Mapping[str, Any], signature: Signature) -> list[str]:
    """Each argument of the wrong name or type, as a sentence; empty when all fit."""
    found = []
    for name, value in arguments.items():
        if name not in signature.types and not signature.open_ended:
            found.append(f"{name}: {target} takes no such argument; {nearest(name, list(signature.types))}")
        elif (kind := signature.types.get(name)) is not None and (wrong := _mismatch(value, kind)):
            found.append(f"{name}={written(value)}: {wrong}")
    return found


def _mismatch(value: Any, kind: Any) -> str:
    """Why a plain value does not fit a type; numbers given as strings and True for 1 are refused."""
    if isinstance(value, Mapping) and "_target_" in value:
        return ""
    try:
        _adapter(kind).validate_python(value)
    except (PydanticSchemaGenerationError, TypeError, NameError):
        return ""
    except ValidationError as error:
        return _told(value, error.errors())
    return _lax(value, kind)


@lru_cache(maxsize=512)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=False, arbitrary_types_allowed=True))


def _told(value: Any, errors: Sequence[ErrorDetails]) -> str:
    """What would fit, with the way out where a number or a truth value stands for a name."""
    wrong = errors[0]["input"]
    said = written(wrong)
    place = "" if wrong is value else f" in place of {said}"
    is_name = isinstance(wrong, int | float) and any(error["type"] == "string_type" for error in errors)
    way_out = f"; where {said} is a name, quote it ('\"{said}\"' on a command line)" if is_name else ""
    return f"expected {' or '.join(dict.fromkeys(map(fitting, errors)))}{place}{way_out}"


def fitting(error: ErrorDetails) -> str:
    """What pydantic expects in the place of a value, in plain words where there are some."""
    if error["type"] == "literal_error":
        return str(error["ctx"]["expected"])
    words = error["msg"].removeprefix("Input should be ").replace(" should ", " that should ", 1)
    return FITTING.get(error["type"], words[0].lower() + words[1:])


def _lax(value: Any, kind: Any) -> str:
    """Refuses what pydantic converts silently: True for a number, "3" for a number, 1 for a truth value."""
    allowed = {kind, *typing.get_args(kind)}
    numeric = bool(allowed & {int, float})
    number = NUMBER if float in allowed else WHOLE
    if isinstance(value, bool) and numeric and bool not in allowed and value not in _literals(allowed):
        return f"expected {number}, not a truth value"
    if isinstance(value, str) and numeric and str not in allowed and value not in _literals(allowed):
        return f"expected {number}, not text"
    if bool in allowed and not isinstance(value, bool) and value is not None and len(allowed - {type(None)}) <= 2:
        return f"expected {TRUTH}" if value not in _literals(allowed) and type(value) not in allowed else ""
    return ""


def _literals(kinds: set[Any]) -> set[Any]:
    return {value for kind in kinds if typing.get_origin(kind) is typing.Literal for value in typing.get_args(kind)}


def signature_in_source(target: str) -> Signature | None:
    """The signature of `package.module.Name`, parsed from the module's file without importing it.

    Base classes of this project are followed where the class passes **options on. None when there is no such file.
    """
    module, _, name = target.rpartition(".")
    tree = _parsed(module)
    if tree is None:
        return None
    node = _definition(tree, name)
    if node is None:
        known = [item.name for item in tree.body if isinstance(item, ast.ClassDef | ast.FunctionDef)]
        raise ValueError(f"_target_ {target}: {module} defines no {name}; {nearest(name, known)}")
    signature = Signature()
    _collect(signature, module, tree, node)
    return signature


def signature_of_object(function: Callable[..., Any]) -> Signature:
    """The same, from an imported function or class (third-party targets)."""
    signature = Signature()
    hints = _type_hints(function)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # builtins written in C say nothing
        return Signature(open_ended=True)
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            signature.open_ended = True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            signature.types.setdefault(parameter.name, hints.get(parameter.name))
    return signature


def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError, AttributeError):  # hints that name something only a type checker sees
        return {}


@lru_cache(maxsize=256)
def _parsed(module: str) -> ast.Module | None:
    path = Path(__file__).parent.parent / (module.replace(".", "/") + ".py")
    return ast.parse(path.read_text()) if path.is_file() else None


def _definition(tree: ast.Module, name: str) -> ast.ClassDef | ast.FunctionDef | None:
    found = [item for item in tree.body if isinstance(item, ast.ClassDef | ast.FunctionDef) and item.name == name]
    return found[-1] if found else None


def _collect(signature: Signature, module: str, tree: ast.Module, node: ast.ClassDef | ast.FunctionDef) -> None:
    if isinstance(node, ast.FunctionDef):
        _add_function(signature, node, skip_self=False)
        signature.open_ended = node.args.kwarg is not None
        return
    init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    if init is not None:
        _add_function(signature, init, skip_self=True)
    elif _is_dataclass(node):
        _add_fields(signature, node)
    if init is None or init.args.kwarg is not None:
        signature.open_ended = init is not None and not _add_bases(signature, module, tree, node)
        if init is None:
            _add_bases(signature, module, tree, node)


def _add_function(signature: Signature, node: ast.FunctionDef, skip_self: bool) -> None:
    positional = [*node.args.posonlyargs, *node.args.args][1 if skip_self else 0 :]
    for argument in [*positional, *node.args.kwonlyargs]:
        signature.types.setdefault(argument.arg, _type(argument.annotation))


def _add_fields(signature: Signature, node: ast.ClassDef) -> None:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not _is_of_the_class(item):
            signature.types.setdefault(item.target.id, _type(item.annotation))


def _is_of_the_class(item: ast.AnnAssign) -> bool:
    """A ClassVar, which no constructor takes."""
    return ast.unparse(item.annotation).removeprefix("typing.").startswith("ClassVar")


def _add_bases(signature: Signature, module: str, tree: ast.Module, node: ast.ClassDef) -> bool:
    """Adds the constructors of the project's own base classes; False when there is none."""
    known = False
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else ""
        home = _imported_from(tree, name) or module
        base_tree = _parsed(home)
        if base_tree is not None and (definition := _definition(base_tree, name)) is not None:
            _collect(signature, home, base_tree, definition)
            known = True
    return known


def _imported_from(tree: ast.Module, name: str) -> str | None:
    for item in tree.body:
        if isinstance(item, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in item.names):
            return item.module
    return None


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list) or any(
        ast.unparse(base) == "NamedTuple" for base in node.bases
    )


def _type(annotation: ast.expr | None) -> Any:
    if annotation is None:
        return None
    try:
        return eval(ast.unparse(annotation), dict(_PLAIN_TYPES))
    except (NameError, AttributeError, TypeError):  # a tensor, a module: not a plain value
        return None
