"""What is refused of a skill."""

from loopwright.errors import LoopwrightError

__all__ = ["SkillRefused"]


class SkillRefused(LoopwrightError):
    """`rule` is a stable name (`skill.changed`, `skill.finding`, …), `why` for people, `remedy` the smallest change that would allow it."""

    exit_code = 6

    def __init__(self, rule: str, why: str, remedy: str) -> None:
        super().__init__(f"{why} [{rule}]; {remedy}")
        self.rule = rule
        self.why = why
        self.remedy = remedy
