"""A number with its noun."""

__all__ = ["count"]


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
