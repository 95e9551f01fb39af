"""Paths as the policy compares them: relative, by whole components, without ever leaving by `..`. Nothing is looked up on a disk."""

from typing import Final

__all__ = ["clean", "inside", "protected"]

_PROMPTS: Final = frozenset(
    {"agents.md", "claude.md", "gemini.md", "prompt.md", "program.md", "skill.md", ".cursorrules"}
)
_POLICIES: Final = frozenset({"policy.toml", "loopwright.toml", "skills.lock"})
_SCHEDULES: Final = frozenset({"crontab", ".gitlab-ci.yml", "jenkinsfile"})
_FOLDERS: Final = {
    ".git": "a file of git's own",
    ".loopwright": "a file of the runtime's own",
    ".claude": "a prompt file",
    ".cursor": "a prompt file",
    "cron.d": "a schedule file",
}


def clean(path: str) -> tuple[str, ...] | None:
    """The components of a relative path; `None` for one that is absolute, leaves by `..`, or holds a NUL or a backslash."""
    if not path or path.startswith(("/", "~")) or "\0" in path or "\\" in path:
        return None
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    return None if ".." in parts else parts


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or beneath it, by whole components. The folder `.` is everything."""
    parts, start = clean(path), clean(folder)
    return parts is not None and start is not None and parts[: len(start)] == start


def protected(path: str) -> str | None:
    """Why a path must not be written by any actor (policy, prompt and schedule files, which steer later runs); `None` when it may.

    A path is judged by its last spelling on any system: letter case does not matter.
    """
    parts = [part.casefold() for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        return None
    for part in parts:
        if part in _FOLDERS:
            return _FOLDERS[part]
    if parts[0] == "loops" and len(parts) > 1:
        return "a loop file"
    last = parts[-1]
    if last in _PROMPTS:
        return "a prompt file"
    if last in _POLICIES or last.endswith(".policy.toml"):
        return "a policy file"
    return "a schedule file" if last in _SCHEDULES or parts[:2] == [".github", "workflows"] else None
