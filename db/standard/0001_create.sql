-- standard: the versions of all other tables. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE version (
    id            INTEGER PRIMARY KEY NOT NULL,
    table_name    VARCHAR(32) NOT NULL,
    table_version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (table_name)
);

INSERT INTO version (table_name, table_version) VALUES
    ('version', 1);
