-- auth_db: HA1 by another algorithm than MD5 (RFC 8760). Kamailio has no such table and never looks at it.

CREATE TABLE subscriber_ha1 (
    id        INTEGER PRIMARY KEY NOT NULL,
    username  VARCHAR(64) NOT NULL DEFAULT '',
    domain    VARCHAR(64) NOT NULL DEFAULT '',
    algorithm VARCHAR(16) NOT NULL DEFAULT '',
    ha1       VARCHAR(128) NOT NULL DEFAULT '',
    ha1b      VARCHAR(128) NOT NULL DEFAULT '',
    UNIQUE (username, domain, algorithm)
);

INSERT INTO version (table_name, table_version) VALUES
    ('subscriber_ha1', 1);
