"""How many scenarios lie in a folder, by the text of its tests: importing them takes long."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

_Values = Mapping[str, ast.expr]
_COLLECTIONS = (ast.List, ast.Tuple, ast.Set)


def count_scenarios(files: Iterable[Path]) -> tuple[int, bool]:
    """The number of scenarios, each case of a parametrised one counted; and whether it is exact.

    Cases are counted where they are written out, in the decorator or under a name of the file.
    Where they are computed the scenario counts as one, and the number is the least there can be.
    """
    total, exact = 0, True
    for file in files:
        try:
            module = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            exact = False
            continue
        values = _values(module)
        everywhere = _cases(_marks(values.get("pytestmark")), values)
        for item in module.body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name.startswith(
                "test_"
            ):
                number, known = _cases(item.decorator_list, values)
                total += number * everywhere[0]
                exact = exact and known and everywhere[1]
    return total, exact


def _values(module: ast.Module) -> dict[str, ast.expr]:
    """What the names of the file stand for."""
    found: dict[str, ast.expr] = {}
    for item in module.body:
        if isinstance(item, ast.Assign):
            found |= {name.id: item.value for name in item.targets if isinstance(name, ast.Name)}
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.value:
            found[item.target.id] = item.value
    return found


def _marks(value: ast.expr | None) -> list[ast.expr]:
    if value is None:
        return []
    return list(value.elts) if isinstance(value, _COLLECTIONS) else [value]


def _cases(marks: Iterable[ast.expr], values: _Values) -> tuple[int, bool]:
    number, exact = 1, True
    for mark in marks:
        if not (isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(".parametrize")):
            continue
        given = {word.arg: word.value for word in mark.keywords}
        cases = mark.args[1] if len(mark.args) > 1 else given.get("argvalues")
        size = _size(cases, values)
        exact = exact and size is not None
        number *= 1 if size is None else size
    return number, exact


def _size(cases: ast.expr | None, values: _Values) -> int | None:
    if isinstance(cases, ast.Name):
        cases = values.get(cases.id)
    if isinstance(cases, _COLLECTIONS):
        return (
            None if any(isinstance(item, ast.Starred) for item in cases.elts) else len(cases.elts)
        )
    if isinstance(cases, ast.Dict):
        return None if None in cases.keys else len(cases.keys)
    return None
