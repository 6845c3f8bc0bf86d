-- secfilter: secfilter. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE secfilter (
    id     INTEGER PRIMARY KEY NOT NULL,
    action SMALLINT NOT NULL DEFAULT 0,
    type   SMALLINT NOT NULL DEFAULT 0,
    data   VARCHAR(64) NOT NULL DEFAULT ''
);
CREATE INDEX secfilter_secfilter_idx ON secfilter (action, type, data);

INSERT INTO version (table_name, table_version) VALUES
    ('secfilter', 1);
