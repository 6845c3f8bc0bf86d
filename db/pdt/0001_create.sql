-- pdt: pdt. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE pdt (
    id      INTEGER PRIMARY KEY NOT NULL,
    sdomain VARCHAR(255) NOT NULL,
    prefix  VARCHAR(32) NOT NULL,
    domain  VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (sdomain, prefix)
);

INSERT INTO version (table_name, table_version) VALUES
    ('pdt', 1);
