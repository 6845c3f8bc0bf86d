-- htable: htable. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE htable (
    id         INTEGER PRIMARY KEY NOT NULL,
    key_name   VARCHAR(64) NOT NULL DEFAULT '',
    key_type   INTEGER NOT NULL DEFAULT 0,
    value_type INTEGER NOT NULL DEFAULT 0,
    key_value  VARCHAR(128) NOT NULL DEFAULT '',
    expires    INTEGER NOT NULL DEFAULT 0
);

INSERT INTO version (table_name, table_version) VALUES
    ('htable', 2);
