-- presence: presentity, active_watchers, watchers, xcap, pua. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE presentity (
    id            INTEGER PRIMARY KEY NOT NULL,
    username      VARCHAR(64) NOT NULL,
    domain        VARCHAR(64) NOT NULL,
    event         VARCHAR(64) NOT NULL,
    etag          VARCHAR(128) NOT NULL,
    expires       INTEGER NOT NULL,
    received_time INTEGER NOT NULL,
    body          BLOB NOT NULL,
    sender        VARCHAR(255) NOT NULL,
    priority      INTEGER NOT NULL DEFAULT 0,
    ruid          VARCHAR(64),
    UNIQUE (username, domain, event, etag),
    UNIQUE (ruid)
);
CREATE INDEX presentity_presentity_expires ON presentity (expires);
CREATE INDEX presentity_account_idx ON presentity (username, domain, event);

CREATE TABLE active_watchers (
    id               INTEGER PRIMARY KEY NOT NULL,
    presentity_uri   VARCHAR(255) NOT NULL,
    watcher_username VARCHAR(64) NOT NULL,
    watcher_domain   VARCHAR(64) NOT NULL,
    to_user          VARCHAR(64) NOT NULL,
    to_domain        VARCHAR(64) NOT NULL,
    event            VARCHAR(64) NOT NULL DEFAULT 'presence',
    event_id         VARCHAR(64),
    to_tag           VARCHAR(128) NOT NULL,
    from_tag         VARCHAR(128) NOT NULL,
    callid           VARCHAR(255) NOT NULL,
    local_cseq       INTEGER NOT NULL,
    remote_cseq      INTEGER NOT NULL,
    contact          VARCHAR(255) NOT NULL,
    record_route     TEXT,
    expires          INTEGER NOT NULL,
    status           INTEGER NOT NULL DEFAULT 2,
    reason           VARCHAR(64),
    version          INTEGER NOT NULL DEFAULT 0,
    socket_info      VARCHAR(64) NOT NULL,
    local_contact    VARCHAR(255) NOT NULL,
    from_user        VARCHAR(64) NOT NULL,
    from_domain      VARCHAR(64) NOT NULL,
    updated          INTEGER NOT NULL,
    updated_winfo    INTEGER NOT NULL,
    flags            INTEGER NOT NULL DEFAULT 0,
    user_agent       VARCHAR(255) DEFAULT '',
    UNIQUE (callid, to_tag, from_tag)
);
CREATE INDEX active_watchers_active_watchers_expires ON active_watchers (expires);
CREATE INDEX active_watchers_active_watchers_pres ON active_watchers (presentity_uri, event);
CREATE INDEX active_watchers_updated_idx ON active_watchers (updated);
CREATE INDEX active_watchers_updated_winfo_idx ON active_watchers (updated_winfo, presentity_uri);

CREATE TABLE watchers (
    id               INTEGER PRIMARY KEY NOT NULL,
    presentity_uri   VARCHAR(255) NOT NULL,
    watcher_username VARCHAR(64) NOT NULL,
    watcher_domain   VARCHAR(64) NOT NULL,
    event            VARCHAR(64) NOT NULL DEFAULT 'presence',
    status           INTEGER NOT NULL,
    reason           VARCHAR(64),
    inserted_time    INTEGER NOT NULL,
    UNIQUE (presentity_uri, watcher_username, watcher_domain, event)
);

CREATE TABLE xcap (
    id       INTEGER PRIMARY KEY NOT NULL,
    username VARCHAR(64) NOT NULL,
    domain   VARCHAR(64) NOT NULL,
    doc      BLOB NOT NULL,
    doc_type INTEGER NOT NULL,
    etag     VARCHAR(128) NOT NULL,
    source   INTEGER NOT NULL,
    doc_uri  VARCHAR(255) NOT NULL,
    port     INTEGER NOT NULL,
    UNIQUE (doc_uri)
);
CREATE INDEX xcap_account_doc_type_idx ON xcap (username, domain, doc_type);
CREATE INDEX xcap_account_doc_type_uri_idx ON xcap (username, domain, doc_type, doc_uri);
CREATE INDEX xcap_account_doc_uri_idx ON xcap (username, domain, doc_uri);

CREATE TABLE pua (
    id              INTEGER PRIMARY KEY NOT NULL,
    pres_uri        VARCHAR(255) NOT NULL,
    pres_id         VARCHAR(255) NOT NULL,
    event           INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    desired_expires INTEGER NOT NULL,
    flag            INTEGER NOT NULL,
    etag            VARCHAR(128) NOT NULL,
    tuple_id        VARCHAR(64),
    watcher_uri     VARCHAR(255) NOT NULL,
    call_id         VARCHAR(255) NOT NULL,
    to_tag          VARCHAR(128) NOT NULL,
    from_tag        VARCHAR(128) NOT NULL,
    cseq            INTEGER NOT NULL,
    record_route    TEXT,
    contact         VARCHAR(255) NOT NULL,
    remote_contact  VARCHAR(255) NOT NULL,
    version         INTEGER NOT NULL,
    extra_headers   TEXT NOT NULL,
    UNIQUE (etag, tuple_id, call_id, from_tag)
);
CREATE INDEX pua_expires_idx ON pua (expires);
CREATE INDEX pua_dialog1_idx ON pua (pres_id, pres_uri);
CREATE INDEX pua_dialog2_idx ON pua (call_id, from_tag);
CREATE INDEX pua_record_idx ON pua (pres_id);

INSERT INTO version (table_name, table_version) VALUES
    ('presentity', 5),
    ('active_watchers', 12),
    ('watchers', 3),
    ('xcap', 4),
    ('pua', 7);
