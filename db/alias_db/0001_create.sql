-- alias_db: further names of a user. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE dbaliases (
    id             INTEGER PRIMARY KEY NOT NULL,
    alias_username VARCHAR(64) NOT NULL DEFAULT '',
    alias_domain   VARCHAR(64) NOT NULL DEFAULT '',
    username       VARCHAR(64) NOT NULL DEFAULT '',
    domain         VARCHAR(64) NOT NULL DEFAULT ''
);
CREATE INDEX dbaliases_alias_user_idx ON dbaliases (alias_username);
CREATE INDEX dbaliases_alias_idx ON dbaliases (alias_username, alias_domain);
CREATE INDEX dbaliases_target_idx ON dbaliases (username, domain);

INSERT INTO version (table_name, table_version) VALUES
    ('dbaliases', 1);
