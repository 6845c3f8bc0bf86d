-- domain: domain, domain_attrs. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE domain (
    id            INTEGER PRIMARY KEY NOT NULL,
    domain        VARCHAR(64) NOT NULL,
    did           VARCHAR(64) DEFAULT NULL,
    last_modified TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2000-01-01 00:00:01',
    UNIQUE (domain)
);

CREATE TABLE domain_attrs (
    id            INTEGER PRIMARY KEY NOT NULL,
    did           VARCHAR(64) NOT NULL,
    name          VARCHAR(32) NOT NULL,
    type          INTEGER NOT NULL,
    value         VARCHAR(255) NOT NULL,
    last_modified TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2000-01-01 00:00:01'
);
CREATE INDEX domain_attrs_domain_attrs_idx ON domain_attrs (did, name);

INSERT INTO version (table_name, table_version) VALUES
    ('domain', 2),
    ('domain_attrs', 1);
