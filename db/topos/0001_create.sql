-- topos: topos_d, topos_t. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE topos_d (
    id         INTEGER PRIMARY KEY NOT NULL,
    rectime    TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    x_context  VARCHAR(64) NOT NULL DEFAULT '',
    s_method   VARCHAR(64) NOT NULL DEFAULT '',
    s_cseq     VARCHAR(64) NOT NULL DEFAULT '',
    a_callid   VARCHAR(255) NOT NULL DEFAULT '',
    a_uuid     VARCHAR(255) NOT NULL DEFAULT '',
    b_uuid     VARCHAR(255) NOT NULL DEFAULT '',
    a_contact  VARCHAR(512) NOT NULL DEFAULT '',
    b_contact  VARCHAR(512) NOT NULL DEFAULT '',
    as_contact VARCHAR(512) NOT NULL DEFAULT '',
    bs_contact VARCHAR(512) NOT NULL DEFAULT '',
    a_tag      VARCHAR(255) NOT NULL DEFAULT '',
    b_tag      VARCHAR(255) NOT NULL DEFAULT '',
    a_rr       TEXT,
    b_rr       TEXT,
    s_rr       TEXT,
    iflags     INTEGER NOT NULL DEFAULT 0,
    a_uri      VARCHAR(255) NOT NULL DEFAULT '',
    b_uri      VARCHAR(255) NOT NULL DEFAULT '',
    r_uri      VARCHAR(255) NOT NULL DEFAULT '',
    a_srcaddr  VARCHAR(128) NOT NULL DEFAULT '',
    b_srcaddr  VARCHAR(128) NOT NULL DEFAULT '',
    a_socket   VARCHAR(128) NOT NULL DEFAULT '',
    b_socket   VARCHAR(128) NOT NULL DEFAULT ''
);
CREATE INDEX topos_d_rectime_idx ON topos_d (rectime);
CREATE INDEX topos_d_a_callid_idx ON topos_d (a_callid);
CREATE INDEX topos_d_a_uuid_idx ON topos_d (a_uuid);
CREATE INDEX topos_d_b_uuid_idx ON topos_d (b_uuid);

CREATE TABLE topos_t (
    id         INTEGER PRIMARY KEY NOT NULL,
    rectime    TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    x_context  VARCHAR(64) NOT NULL DEFAULT '',
    s_method   VARCHAR(64) NOT NULL DEFAULT '',
    s_cseq     VARCHAR(64) NOT NULL DEFAULT '',
    a_callid   VARCHAR(255) NOT NULL DEFAULT '',
    a_uuid     VARCHAR(255) NOT NULL DEFAULT '',
    b_uuid     VARCHAR(255) NOT NULL DEFAULT '',
    direction  INTEGER NOT NULL DEFAULT 0,
    x_via      TEXT,
    x_vbranch  VARCHAR(255) NOT NULL DEFAULT '',
    x_rr       TEXT,
    y_rr       TEXT,
    s_rr       TEXT,
    x_uri      VARCHAR(255) NOT NULL DEFAULT '',
    a_contact  VARCHAR(512) NOT NULL DEFAULT '',
    b_contact  VARCHAR(512) NOT NULL DEFAULT '',
    as_contact VARCHAR(512) NOT NULL DEFAULT '',
    bs_contact VARCHAR(512) NOT NULL DEFAULT '',
    x_tag      VARCHAR(255) NOT NULL DEFAULT '',
    a_tag      VARCHAR(255) NOT NULL DEFAULT '',
    b_tag      VARCHAR(255) NOT NULL DEFAULT '',
    a_srcaddr  VARCHAR(255) NOT NULL DEFAULT '',
    b_srcaddr  VARCHAR(255) NOT NULL DEFAULT '',
    a_socket   VARCHAR(128) NOT NULL DEFAULT '',
    b_socket   VARCHAR(128) NOT NULL DEFAULT ''
);
CREATE INDEX topos_t_rectime_idx ON topos_t (rectime);
CREATE INDEX topos_t_a_callid_idx ON topos_t (a_callid);
CREATE INDEX topos_t_x_vbranch_idx ON topos_t (x_vbranch);
CREATE INDEX topos_t_a_uuid_idx ON topos_t (a_uuid);

INSERT INTO version (table_name, table_version) VALUES
    ('topos_d', 2),
    ('topos_t', 2);
