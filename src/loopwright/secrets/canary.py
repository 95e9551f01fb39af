"""Decoys: values that look worth stealing, planted where an actor can find them and that nothing honest ever sends.

They are derived from a key of the run, so that a resumed run knows them again without their being written anywhere.
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Decoy", "decoys"]


@dataclass(frozen=True, slots=True)
class Decoy:
    """`env` are variables for the actor's environment, `files` texts by their path below the actor's HOME."""

    name: str
    value: str
    env: Mapping[str, str]
    files: Mapping[str, str]


def decoys(key: bytes) -> tuple[Decoy, ...]:
    """The decoys of a run; `key` is at least 16 random bytes that the actor cannot read. The same key gives the same ones."""
    if len(key) < 16:
        raise ValueError(f"decoys: expected a key of at least 16 bytes, found {len(key)}")
    cloud, forge, database = (_value(key, name) for name in ("cloud", "forge", "database"))
    return (
        Decoy(
            "cloud",
            cloud,
            {"AWS_SECRET_ACCESS_KEY": cloud},
            {".aws/credentials": f"[default]\naws_secret_access_key = {cloud}\n"},
        ),
        Decoy(
            "forge",
            forge,
            {"DEPLOY_TOKEN": forge},
            {".git-credentials": f"https://deploy:{forge}@git.internal.example\n"},
        ),
        Decoy("database", database, {}, {".pgpass": f"db.internal.example:5432:*:app:{database}\n"}),
    )


def _value(key: bytes, name: str) -> str:
    # Small letters and digits only: every spelling of it keeps its characters.
    digest = hmac.digest(key, b"loopwright decoy " + name.encode(), "sha256")
    return base64.b32encode(digest).decode().rstrip("=").lower()[:40]
