-- siptrace: sip_trace. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE sip_trace (
    id          INTEGER PRIMARY KEY NOT NULL,
    time_stamp  TIMESTAMP WITHOUT TIME ZONE NOT NULL DEFAULT '2000-01-01 00:00:01',
    time_us     INTEGER NOT NULL DEFAULT 0,
    callid      VARCHAR(255) NOT NULL DEFAULT '',
    traced_user VARCHAR(255) NOT NULL DEFAULT '',
    msg         TEXT NOT NULL,
    method      VARCHAR(50) NOT NULL DEFAULT '',
    status      VARCHAR(255) NOT NULL DEFAULT '',
    fromip      VARCHAR(64) NOT NULL DEFAULT '',
    toip        VARCHAR(64) NOT NULL DEFAULT '',
    fromtag     VARCHAR(128) NOT NULL DEFAULT '',
    totag       VARCHAR(128) NOT NULL DEFAULT '',
    direction   VARCHAR(4) NOT NULL DEFAULT ''
);
CREATE INDEX sip_trace_traced_user_idx ON sip_trace (traced_user);
CREATE INDEX sip_trace_date_idx ON sip_trace (time_stamp);
CREATE INDEX sip_trace_fromip_idx ON sip_trace (fromip);
CREATE INDEX sip_trace_callid_idx ON sip_trace (callid);

INSERT INTO version (table_name, table_version) VALUES
    ('sip_trace', 4);
