"""Fixtures of all areas. That this file is here puts `tests/` on the path, so that tests can import `support.…`."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from loopwright.journal.protocol import Journal
from support.postgres import running_postgres, schema_url
from support.stores import Store

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("loopwright", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loopwright")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A fresh server of this session (of this worker under xdist). Give every test a schema of its own: `schema_url`."""
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty place for a journal, once for each kind; what the test opened in it is closed at its end."""
    url = None
    if request.param == "postgres":
        url = schema_url(request.getfixturevalue("postgres_url"), f"t{uuid.uuid4().hex}")
    place = Store(tmp_path, url)
    yield place
    place.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    """A new journal of each kind, with a clock that stands still."""
    return store.open()
