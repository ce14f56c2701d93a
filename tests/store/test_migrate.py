import hashlib
import json
import shutil
import sqlite3
import threading
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from explorer.errors import StoreError
from explorer.store import Store, migrate
from explorer.store.database import open_engine
from explorer.store.schema import metadata

NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "next", "{head}"
def upgrade():
    op.add_column("members", sa.Column("remark", sa.String()))
    op.execute("UPDATE members SET remark = 'migrated'")
    {then}
"""


def set_revision(root, revision):
    connection = sqlite3.connect(root / "ledger.sqlite")
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def hashes(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def parts_of(statement):
    """The sorted columns and constraints of a statement: SQLite writes an added column last, on one line."""
    head, _, rest = statement.partition("(")
    body, _, tail = rest.rpartition(")")
    parts, depth = [""], 0
    for letter in body:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [head, *sorted(" ".join(part.split()) for part in parts), tail]


@pytest.fixture
def with_next(tmp_path, monkeypatch):
    """A version of the program that knows one more step, which may fail at its end."""

    def install(then="pass"):
        scripts = tmp_path / "migrations"
        shutil.copytree(migrate.MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        (scripts / "versions" / "next.py").write_text(NEXT.format(then=then, head=migrate.HEAD))
        monkeypatch.setattr(migrate, "MIGRATIONS", scripts)
        monkeypatch.setattr(migrate, "REVISIONS", (*migrate.REVISIONS, "next"))
        monkeypatch.setattr(migrate, "HEAD", "next")

    return install


def test_a_ledger_of_the_first_format_is_read_with_what_it_did_not_say(tmp_path, monkeypatch, conditions):
    """Old timings: contiguous, as built; the old label is the new workload; conditions are found again."""
    with monkeypatch.context() as old:
        old.setattr(migrate, "REVISIONS", ("0001",))
        old.setattr(migrate, "HEAD", "0001")
        Store.open(tmp_path / "store").close()
    connection = sqlite3.connect(tmp_path / "store" / "ledger.sqlite")
    said = (conditions.device, conditions.device_name, "float32", 1, 1, "torch-eager")
    connection.execute(
        "INSERT INTO conditions VALUES (1, 'old hash', ?, ?, ?, ?, ?, ?, ?, 'unknown')",
        (*said, json.dumps(dict(conditions.versions))),
    )
    connection.execute("INSERT INTO models VALUES (1, 'wrn10-1', 8, 1, 3)")
    workload = "torch-eager float32 b1 t1 cpu A Processor"
    connection.execute(
        "INSERT INTO costs VALUES (1, 1, 'latency', 'cpu-eager', 'measured', 'single-stream-b1', ?, 2, 1, 3, "
        "'a test', 1, NULL, 'x', 'then', NULL)",
        (workload,),
    )
    connection.commit()
    connection.close()

    with Store.open(tmp_path / "store") as store:
        (record,) = store.costs("latency", "cpu/eager")
        assert record.conditions == conditions
        assert (record.conditions.memory_format, record.conditions.form) == ("contiguous", "as-built")
        store.put_cost(replace(record, figure=replace(record.figure, value=2.5)))
        (newer,) = store.costs("latency", "cpu/eager")
        assert newer.figure.value == 2.5
        assert store.info().superseded == 1
        assert store.info().counts["conditions"] == 1


def test_a_member_of_the_third_format_has_its_weights(tmp_path, monkeypatch):
    """Until then none was written without: the row says so afterwards, and stays the current one."""
    with monkeypatch.context() as old:
        old.setattr(migrate, "REVISIONS", ("0001", "0002", "0003"))
        old.setattr(migrate, "HEAD", "0003")
        Store.open(tmp_path / "store").close()
    training = {"recipe_id": "quick-0a1b2c3d", "recipe": {}, "epochs": 1, "examples_seen": 1, "wall_s": 1.0}
    training |= {"device": "cpu", "macs": 1, "curve": [], "versions": {}}
    connection = sqlite3.connect(tmp_path / "store" / "ledger.sqlite")
    connection.execute("INSERT INTO models VALUES (1, 'wrn10-1', 8, 1, 3)")
    connection.execute(
        "INSERT INTO members VALUES (1, 'digits', 'wrn10-1@8~quick-0a1b2c3d#0', 1, 'quick-0a1b2c3d', 0, 's', "
        "?, ?, 'x', 'then', NULL)",
        ("d" * 64, json.dumps(training)),
    )
    connection.commit()
    connection.close()

    with Store.open(tmp_path / "store") as store:
        (record,) = store.members("digits")
        assert (store.info().revision, store.info().without_weights) == (migrate.HEAD, 0)
        assert record.weights_digest == "d" * 64
        assert "is missing; named by members row 1" in store.check().problems[0]


def test_the_migrations_make_exactly_the_schema(store):
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_same_indexes_and_keys_as_the_schema(store, tmp_path):
    """Alembic's comparison skips partial conditions and deferred keys; SQLite's own text does not."""
    engine = open_engine(tmp_path / "direct.sqlite")
    metadata.create_all(engine)

    def statements(which):
        with which.connect() as connection:
            rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {name: parts_of(sql) for name, sql in rows if name != "alembic_version"}

    assert statements(store._engine) == statements(engine)
    engine.dispose()


def test_the_revisions_known_are_those_shipped():
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    shipped = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert tuple(reversed(shipped)) == migrate.REVISIONS


def test_a_store_made_now_has_the_newest_revision_and_safe_settings(store):
    assert store.info().revision == migrate.HEAD
    assert store.migrate() == (migrate.HEAD, migrate.HEAD)
    with store._engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@pytest.mark.parametrize("revision", ["9999", "f00dfeed"])
def test_a_newer_ledger_is_refused_and_not_touched(store, revision):
    store.put_weights(b"weights")
    store.close()
    set_revision(store.root, revision)
    before = hashes(store.root)

    for create in (True, False):
        with pytest.raises(
            StoreError,
            match=rf"by a newer version.*'{revision}', this version knows up to '{migrate.HEAD}'; upgrade",
        ):
            Store.open(store.root, create=create)
    assert hashes(store.root) == before


def test_another_programs_database_is_refused_and_not_touched(tmp_path):
    other = sqlite3.connect(tmp_path / "ledger.sqlite")
    other.execute("CREATE TABLE notes (text)")
    other.commit()
    other.close()
    before = hashes(tmp_path)

    with pytest.raises(StoreError, match="a SQLite file but not a store's ledger"):
        Store.open(tmp_path)
    assert hashes(tmp_path) == before


def test_an_older_ledger_is_migrated_on_opening_with_its_rows(store, make_member, with_next):
    store.commit_member(make_member(), b"w", {})
    store.close()
    with_next()

    with Store.open(store.root) as again:
        assert again.info().revision == "next"
        assert again.info().counts["members"] == 1
        with again._engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT remark FROM members").scalars().all() == ["migrated"]


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(store, make_member, with_next):
    store.commit_member(make_member(), b"w", {})
    store.close()
    before = migrate.HEAD
    with_next(then="raise ZeroDivisionError")

    with pytest.raises(ZeroDivisionError):
        Store.open(store.root)

    connection = sqlite3.connect(store.root / "ledger.sqlite")
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(before,)]
    assert "remark" not in [row[1] for row in connection.execute("PRAGMA table_info(members)")]
    connection.close()


def test_threads_that_open_old_stores_at_once_do_not_disturb_each_other(tmp_path):
    failures = []

    def make(number):
        try:
            for name in (f"own-{number}", "common"):
                with Store.open(tmp_path / name) as store:
                    assert store.members() == ()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_path_with_a_percent_sign_and_spaces(tmp_path, monkeypatch):
    scripts = tmp_path / "100% mine"
    shutil.copytree(migrate.MIGRATIONS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrate, "MIGRATIONS", scripts)

    with Store.open(tmp_path / "a store ?x=1 #%20é") as store:
        assert store.info().revision == migrate.HEAD
        with Store.open(store.url, create=False) as again:
            assert again.root == store.root
