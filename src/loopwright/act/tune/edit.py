"""Write another value in a literal's place and touch nothing else. Pure."""

import ast
import re
from collections.abc import Mapping
from decimal import Decimal

from loopwright.act.tune.places import Place, Setting, places
from loopwright.act.tune.space import same
from loopwright.act.tune.text import Text, Unreadable, parsed

__all__ = ["edited", "skeleton", "written"]

_PLAIN_FROM, _PLAIN_BELOW = 1e-6, 1e9
_EXPONENT = re.compile(r"(?P<mark>[eE])(?P<sign>[+-]?)(?P<digits>\d+)$")


def edited(text: Text, settings: Mapping[str, Setting]) -> bytes | None:
    """The whole file with these values, in its own encoding; keys of other files and unchanged values are passed over.

    `None` where that cannot be written: the file would read back as something else than the same program with these values.
    """
    found = places(text)
    changed = [p for p in found if p.key in settings and not same(p.value, settings[p.key])]
    data = text.data
    for place in reversed(changed):
        new = written(settings[place.key], place.written)
        if new.startswith("-") and not place.written.startswith("-") and _binds(text, place):
            new = f"({new})"
        data = data[: place.start] + new.encode("utf-8") + data[place.end :]
    try:
        result = text.encoded(data)
        again = Text(text.path, result)
    except (UnicodeEncodeError, Unreadable):
        return None
    values = {p.key: p.value for p in places(again)}
    wanted = {p.key: settings.get(p.key, p.value) for p in found}
    if values.keys() != wanted.keys() or not all(same(values[k], wanted[k]) for k in wanted):
        return None
    return result if _shape(again) == _shape(text) else None


def skeleton(text: Text, keys: frozenset[str]) -> bytes:
    """The file with these literals left out: two versions with the same one differ in nothing but the values of these knobs."""
    data = text.data
    for place in reversed(places(text)):
        if place.key in keys:
            data = data[: place.start] + b"?" + data[place.end :]
    return data


def written(value: Setting, like: str) -> str:
    """`value` as Python source, in the manner of `like`: its quotes, its exponent, its underscores."""
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        quote = like[:1]
        plain = f"{quote}{value}{quote}"
        return plain if value.isprintable() and quote not in value and "\\" not in value else repr(value)
    if isinstance(value, int):
        return f"{value:_}" if "_" in like else str(value)
    return _float(value, like.lstrip("-").lstrip())


def _float(value: float, like: str) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    exponent = _EXPONENT.search(like)
    if size and (exponent is not None or not _PLAIN_FROM <= size < _PLAIN_BELOW):
        return sign + _scientific(size, exponent)
    text = format(Decimal(repr(size)), "f")
    text = text if "." in text else f"{text}.0"
    if "_" in like:
        whole, _, rest = text.partition(".")
        text = f"{int(whole):_}.{rest}"
    if like.startswith(".") and text.startswith("0."):
        text = text[1:]
    if like.endswith(".") and text.endswith(".0"):
        text = text[:-1]
    return sign + text


def _scientific(size: float, like: re.Match[str] | None) -> str:
    _, digits, power = Decimal(repr(size)).normalize().as_tuple()
    assert isinstance(power, int)
    mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
    power += len(digits) - 1
    mark, plus, wide = ("e", "", 1) if like is None else (like["mark"], like["sign"], len(like["digits"]))
    # Only a zero in front says that the author pads: `1e-10` is as wide as it must be.
    wide = wide if like is not None and like["digits"].startswith("0") else 1
    sign = "-" if power < 0 else ("+" if plus == "+" else "")
    return f"{mantissa}{mark}{sign}{abs(power):0{wide}d}"


def _binds(text: Text, place: Place) -> bool:
    """Whether something beside the literal could take hold of its new sign."""
    return isinstance(text.parents[place.node], ast.BinOp | ast.UnaryOp | ast.Attribute | ast.Subscript | ast.Compare)


class _Blank(ast.NodeTransformer):
    """Every literal that stands alone becomes the same mark: what is left is the program without its values."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Name(type(node.value).__name__, ast.Load())

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self.visit_Constant(node.operand)
        return self.generic_visit(node)


def _shape(text: Text) -> str:
    # Parsed anew: the transformer works in place, and the tree of `text` is still needed.
    return ast.dump(_Blank().visit(parsed(text.data.decode("utf-8"))))
