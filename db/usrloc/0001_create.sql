-- usrloc: where users are registered. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE location (
    id            INTEGER PRIMARY KEY NOT NULL,
    ruid          VARCHAR(64) NOT NULL DEFAULT '',
    username      VARCHAR(64) NOT NULL DEFAULT '',
    domain        VARCHAR(64) DEFAULT NULL,
    contact       VARCHAR(512) NOT NULL DEFAULT '',
    received      VARCHAR(128) DEFAULT NULL,
    path          VARCHAR(512) DEFAULT NULL,
    expires       TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2030-05-28 21:32:15',
    q             REAL NOT NULL DEFAULT 1.0,
    callid        VARCHAR(255) NOT NULL DEFAULT 'Default-Call-ID',
    cseq          INTEGER NOT NULL DEFAULT 1,
    last_modified TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2000-01-01 00:00:01',
    flags         INTEGER NOT NULL DEFAULT 0,
    cflags        INTEGER NOT NULL DEFAULT 0,
    user_agent    VARCHAR(255) NOT NULL DEFAULT '',
    socket        VARCHAR(64) DEFAULT NULL,
    methods       INTEGER DEFAULT NULL,
    instance      VARCHAR(255) DEFAULT NULL,
    reg_id        INTEGER NOT NULL DEFAULT 0,
    server_id     INTEGER NOT NULL DEFAULT 0,
    connection_id INTEGER NOT NULL DEFAULT 0,
    keepalive     INTEGER NOT NULL DEFAULT 0,
    partition     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (ruid)
);
CREATE INDEX location_account_contact_idx ON location (username, domain, contact);
CREATE INDEX location_expires_idx ON location (expires);
CREATE INDEX location_tcpcon_idx ON location (connection_id);
CREATE INDEX location_connection_idx ON location (server_id, connection_id);

CREATE TABLE location_attrs (
    id            INTEGER PRIMARY KEY NOT NULL,
    ruid          VARCHAR(64) NOT NULL DEFAULT '',
    username      VARCHAR(64) NOT NULL DEFAULT '',
    domain        VARCHAR(64) DEFAULT NULL,
    aname         VARCHAR(64) NOT NULL DEFAULT '',
    atype         INTEGER NOT NULL DEFAULT 0,
    avalue        VARCHAR(512) NOT NULL DEFAULT '',
    last_modified TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2000-01-01 00:00:01'
);
CREATE INDEX location_attrs_account_record_idx ON location_attrs (username, domain, ruid);
CREATE INDEX location_attrs_last_modified_idx ON location_attrs (last_modified);

INSERT INTO version (table_name, table_version) VALUES
    ('location', 9),
    ('location_attrs', 1);
