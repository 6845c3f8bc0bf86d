-- uri_db: uri. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE uri (
    id            INTEGER PRIMARY KEY NOT NULL,
    username      VARCHAR(64) NOT NULL DEFAULT '',
    domain        VARCHAR(64) NOT NULL DEFAULT '',
    uri_user      VARCHAR(64) NOT NULL DEFAULT '',
    last_modified TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2000-01-01 00:00:01',
    UNIQUE (username, domain, uri_user)
);

INSERT INTO version (table_name, table_version) VALUES
    ('uri', 1);
