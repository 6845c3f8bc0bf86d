"""Small things: where files are, how URLs and date-times read."""

from pathlib import Path

import pytest

from kamtool.errors import StoreError
from kamtool.store.paths import default_database, sql_folder
from kamtool.store.times import to_epoch, to_julian
from kamtool.store.url import database_path, database_url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/k.db", "/var/lib/k.db"),
        ("sqlite:///etc/kamailio/k.db", "/etc/kamailio/k.db"),  # db_sqlite 5.6.3 reads it so too
        ("sqlite://k.db", "k.db"),
    ],
)
def test_a_url_names_the_file_that_db_sqlite_would_open(url, path):
    assert database_path(url) == Path(path)


@pytest.mark.parametrize(
    "url", ["mysql://kamailio:kamailiorw@localhost/kamailio", "/var/k.db", "sqlite://", ""]
)
def test_other_urls_are_refused(url):
    with pytest.raises(StoreError):
        database_path(url)


def test_a_refused_url_does_not_leak_its_password():
    with pytest.raises(StoreError) as caught:
        database_path("mysql://kamailio:kamailiorw@localhost/kamailio")
    assert "kamailiorw" not in str(caught.value)


def test_a_path_survives_the_way_through_a_url(tmp_path):
    assert database_path(database_url(tmp_path / "a.db")) == tmp_path / "a.db"


def test_the_environment_names_the_database():
    assert default_database({"KAMTOOL_DB": "/x/y.db"}) == Path("/x/y.db")


def test_the_sql_is_found():
    assert (sql_folder() / "standard/0001_create.sql").is_file()


@pytest.mark.parametrize(
    ("value", "epoch"),
    [
        (2461367.52802662, 1795394421.5),  # what db_sqlite 5.6.3 wrote
        ("2026-11-23 00:40:21", 1795394421),
        ("2026-11-23T00:40:21Z", 1795394421),
        (1795394421, 1795394421),
        (1795394421.0, 1795394421),
        (None, 0),
        ("never", 0),
        (b"", 0),
    ],
)
def test_every_form_of_a_date_time_is_read(value, epoch):
    assert to_epoch(value) == pytest.approx(epoch, abs=0.01)


def test_a_julian_day_survives_the_round_trip():
    assert to_epoch(to_julian(1795394421.5)) == pytest.approx(1795394421.5, abs=0.001)
