-- rtpengine: the relays and their sets. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE rtpengine (
    id       INTEGER PRIMARY KEY NOT NULL,
    setid    INTEGER NOT NULL DEFAULT 0,
    url      VARCHAR(64) NOT NULL,
    weight   INTEGER NOT NULL DEFAULT 1,
    disabled INTEGER NOT NULL DEFAULT 0,
    stamp    TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '1900-01-01 00:00:01',
    CONSTRAINT rtpengine_rtpengine_nodes UNIQUE (setid, url)
);

INSERT INTO version (table_name, table_version) VALUES
    ('rtpengine', 1);
