-- speeddial: speed_dial. Names, columns and versions are Kamailio 5.6's.

CREATE TABLE speed_dial (
    id          INTEGER PRIMARY KEY NOT NULL,
    username    VARCHAR(64) NOT NULL DEFAULT '',
    domain      VARCHAR(64) NOT NULL DEFAULT '',
    sd_username VARCHAR(64) NOT NULL DEFAULT '',
    sd_domain   VARCHAR(64) NOT NULL DEFAULT '',
    new_uri     VARCHAR(255) NOT NULL DEFAULT '',
    fname       VARCHAR(64) NOT NULL DEFAULT '',
    lname       VARCHAR(64) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT '',
    UNIQUE (username, domain, sd_domain, sd_username)
);

INSERT INTO version (table_name, table_version) VALUES
    ('speed_dial', 2);
