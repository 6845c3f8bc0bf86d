-- rtpproxy: the relays and their sets. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE rtpproxy (
    id          INTEGER PRIMARY KEY NOT NULL,
    setid       VARCHAR(32) NOT NULL DEFAULT 00,
    url         VARCHAR(64) NOT NULL DEFAULT '',
    flags       INTEGER NOT NULL DEFAULT 0,
    weight      INTEGER NOT NULL DEFAULT 1,
    description VARCHAR(64) NOT NULL DEFAULT ''
);

INSERT INTO version (table_name, table_version) VALUES
    ('rtpproxy', 1);
