-- permissions: trusted, address. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE trusted (
    id           INTEGER PRIMARY KEY NOT NULL,
    src_ip       VARCHAR(50) NOT NULL,
    proto        VARCHAR(4) NOT NULL,
    from_pattern VARCHAR(64) DEFAULT NULL,
    ruri_pattern VARCHAR(64) DEFAULT NULL,
    tag          VARCHAR(64),
    priority     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX trusted_peer_idx ON trusted (src_ip);

CREATE TABLE address (
    id      INTEGER PRIMARY KEY NOT NULL,
    grp     INTEGER NOT NULL DEFAULT 1,
    ip_addr VARCHAR(50) NOT NULL,
    mask    INTEGER NOT NULL DEFAULT 32,
    port    SMALLINT NOT NULL DEFAULT 0,
    tag     VARCHAR(64)
);

INSERT INTO version (table_name, table_version) VALUES
    ('trusted', 6),
    ('address', 6);
