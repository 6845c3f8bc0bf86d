-- auth_db: what `kamtool user disable` has put aside until `enable`. Kamailio has no such table.

CREATE TABLE subscriber_disabled (
    id       INTEGER PRIMARY KEY NOT NULL,
    username VARCHAR(64) NOT NULL DEFAULT '',
    domain   VARCHAR(64) NOT NULL DEFAULT '',
    kept     TEXT NOT NULL DEFAULT '',
    UNIQUE (username, domain)
);

INSERT INTO version (table_name, table_version) VALUES
    ('subscriber_disabled', 1);
