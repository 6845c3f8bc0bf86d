-- mtree: mtree, mtrees. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE mtree (
    id      INTEGER PRIMARY KEY NOT NULL,
    tprefix VARCHAR(32) NOT NULL DEFAULT '',
    tvalue  VARCHAR(128) NOT NULL DEFAULT '',
    UNIQUE (tprefix)
);

CREATE TABLE mtrees (
    id      INTEGER PRIMARY KEY NOT NULL,
    tname   VARCHAR(128) NOT NULL DEFAULT '',
    tprefix VARCHAR(32) NOT NULL DEFAULT '',
    tvalue  VARCHAR(128) NOT NULL DEFAULT '',
    UNIQUE (tname, tprefix, tvalue)
);

INSERT INTO version (table_name, table_version) VALUES
    ('mtree', 1),
    ('mtrees', 2);
