-- sipcapture: sip_capture, the columns that Kamailio 5.6 writes. (Its own SQL for Homer is MySQL's.)

CREATE TABLE sip_capture (
    id               INTEGER PRIMARY KEY NOT NULL,
    date             TIMESTAMP WITHOUT TIME ZONE DEFAULT '1900-01-01 00:00:01',
    micro_ts         BIGINT DEFAULT 0,
    method           VARCHAR(50) DEFAULT '',
    correlation_id   VARCHAR(256) DEFAULT '',
    reply_reason     VARCHAR(100) DEFAULT '',
    ruri             VARCHAR(200) DEFAULT '',
    ruri_user        VARCHAR(100) DEFAULT '',
    ruri_domain      VARCHAR(150) DEFAULT '',
    from_user        VARCHAR(100) DEFAULT '',
    from_domain      VARCHAR(150) DEFAULT '',
    from_tag         VARCHAR(64) DEFAULT '',
    to_user          VARCHAR(100) DEFAULT '',
    to_domain        VARCHAR(150) DEFAULT '',
    to_tag           VARCHAR(64) DEFAULT '',
    pid_user         VARCHAR(100) DEFAULT '',
    contact_user     VARCHAR(120) DEFAULT '',
    auth_user        VARCHAR(120) DEFAULT '',
    callid           VARCHAR(120) DEFAULT '',
    callid_aleg      VARCHAR(120) DEFAULT '',
    via_1            VARCHAR(256) DEFAULT '',
    via_1_branch     VARCHAR(80) DEFAULT '',
    cseq             VARCHAR(25) DEFAULT '',
    diversion        VARCHAR(256) DEFAULT '',
    reason           VARCHAR(200) DEFAULT '',
    content_type     VARCHAR(256) DEFAULT '',
    auth             VARCHAR(256) DEFAULT '',
    user_agent       VARCHAR(256) DEFAULT '',
    source_ip        VARCHAR(60) DEFAULT '',
    source_port      INTEGER DEFAULT 0,
    destination_ip   VARCHAR(60) DEFAULT '',
    destination_port INTEGER DEFAULT 0,
    contact_ip       VARCHAR(60) DEFAULT '',
    contact_port     INTEGER DEFAULT 0,
    originator_ip    VARCHAR(60) DEFAULT '',
    originator_port  INTEGER DEFAULT 0,
    proto            INTEGER DEFAULT 0,
    family           INTEGER DEFAULT 0,
    rtp_stat         VARCHAR(256) DEFAULT '',
    type             INTEGER DEFAULT 0,
    node             VARCHAR(125) DEFAULT '',
    msg              TEXT DEFAULT '',
    custom_field1    VARCHAR(120) DEFAULT '',
    custom_field2    VARCHAR(120) DEFAULT '',
    custom_field3    VARCHAR(120) DEFAULT ''
);
CREATE INDEX sip_capture_date_idx ON sip_capture (date);
CREATE INDEX sip_capture_callid_idx ON sip_capture (callid);
CREATE INDEX sip_capture_from_user_idx ON sip_capture (from_user);
CREATE INDEX sip_capture_to_user_idx ON sip_capture (to_user);

INSERT INTO version (table_name, table_version) VALUES
    ('sip_capture', 1);
