-- dispatcher: dispatcher. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE dispatcher (
    id          INTEGER PRIMARY KEY NOT NULL,
    setid       INTEGER NOT NULL DEFAULT 0,
    destination VARCHAR(192) NOT NULL DEFAULT '',
    flags       INTEGER NOT NULL DEFAULT 0,
    priority    INTEGER NOT NULL DEFAULT 0,
    attrs       VARCHAR(128) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT ''
);

INSERT INTO version (table_name, table_version) VALUES
    ('dispatcher', 4);
