-- pipelimit: pl_pipes. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE pl_pipes (
    id        INTEGER PRIMARY KEY NOT NULL,
    pipeid    VARCHAR(64) NOT NULL DEFAULT '',
    algorithm VARCHAR(32) NOT NULL DEFAULT '',
    plimit    INTEGER NOT NULL DEFAULT 0
);

INSERT INTO version (table_name, table_version) VALUES
    ('pl_pipes', 1);
