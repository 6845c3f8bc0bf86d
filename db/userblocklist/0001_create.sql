-- Numbers that may not, or may, be called: by user and for all.

CREATE TABLE userblocklist (
    id        INTEGER PRIMARY KEY NOT NULL,
    username  VARCHAR(64) NOT NULL DEFAULT '',
    domain    VARCHAR(64) NOT NULL DEFAULT '',
    prefix    VARCHAR(64) NOT NULL DEFAULT '',
    allowlist SMALLINT NOT NULL DEFAULT 0
);
CREATE INDEX userblocklist_userblocklist_idx ON userblocklist (username, domain, prefix);

CREATE TABLE globalblocklist (
    id          INTEGER PRIMARY KEY NOT NULL,
    prefix      VARCHAR(64) NOT NULL DEFAULT '',
    allowlist   SMALLINT NOT NULL DEFAULT 0,
    description VARCHAR(255) DEFAULT NULL
);
CREATE INDEX globalblocklist_globalblocklist_idx ON globalblocklist (prefix);

INSERT INTO version (table_name, table_version) VALUES
    ('userblocklist', 1),
    ('globalblocklist', 1);
