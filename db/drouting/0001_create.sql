-- drouting: dr_gateways, dr_rules, dr_gw_lists, dr_groups. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE dr_gateways (
    gwid        INTEGER PRIMARY KEY NOT NULL,
    type        INTEGER NOT NULL DEFAULT 0,
    address     VARCHAR(128) NOT NULL,
    strip       INTEGER NOT NULL DEFAULT 0,
    pri_prefix  VARCHAR(64) DEFAULT NULL,
    attrs       VARCHAR(255) DEFAULT NULL,
    description VARCHAR(128) NOT NULL DEFAULT ''
);

CREATE TABLE dr_rules (
    ruleid      INTEGER PRIMARY KEY NOT NULL,
    groupid     VARCHAR(255) NOT NULL,
    prefix      VARCHAR(64) NOT NULL,
    timerec     VARCHAR(255) NOT NULL,
    priority    INTEGER NOT NULL DEFAULT 0,
    routeid     VARCHAR(64) NOT NULL,
    gwlist      VARCHAR(255) NOT NULL,
    description VARCHAR(128) NOT NULL DEFAULT ''
);

CREATE TABLE dr_gw_lists (
    id          INTEGER PRIMARY KEY NOT NULL,
    gwlist      VARCHAR(255) NOT NULL,
    description VARCHAR(128) NOT NULL DEFAULT ''
);

CREATE TABLE dr_groups (
    id          INTEGER PRIMARY KEY NOT NULL,
    username    VARCHAR(64) NOT NULL,
    domain      VARCHAR(128) NOT NULL DEFAULT '',
    groupid     INTEGER NOT NULL DEFAULT 0,
    description VARCHAR(128) NOT NULL DEFAULT ''
);

INSERT INTO version (table_name, table_version) VALUES
    ('dr_gateways', 3),
    ('dr_rules', 3),
    ('dr_gw_lists', 1),
    ('dr_groups', 2);
