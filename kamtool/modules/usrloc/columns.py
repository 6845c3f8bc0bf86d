"""The names of the columns of a location table, each a parameter of usrloc."""

from __future__ import annotations

from kamtool.module import Param


class Columns:
    """`modparam("usrloc", "user_column", "username")` and its like."""

    ruid_column = Param("ruid", "the column of a contact's unique id")
    user_column = Param("username", "the column of the user part of the address-of-record")
    domain_column = Param("domain", "the column of its domain, filled with `use_domain`")
    contact_column = Param("contact", "the column of the contact's URI")
    received_column = Param("received", "the column of the URI a REGISTER came from, behind a NAT")
    path_column = Param("path", "the column of the Path")
    expires_column = Param("expires", "the column of the time a contact expires")
    q_column = Param("q", "the column of its q, -1 without one")
    callid_column = Param("callid", "the column of the Call-ID of its REGISTER")
    cseq_column = Param("cseq", "the column of the CSeq of its REGISTER")
    last_modified_column = Param("last_modified", "the column of the time of its last REGISTER")
    flags_column = Param("flags", "the column of its flags")
    cflags_column = Param("cflags", "the column of its branch flags")
    user_agent_column = Param("user_agent", "the column of its User-Agent")
    socket_column = Param("socket", "the column of the socket that its REGISTER came to")
    methods_column = Param("methods", "the column of the methods it takes, a mask")
    instance_column = Param("instance", "the column of its +sip.instance")
    reg_id_column = Param("reg_id", "the column of its reg-id")
    server_id_column = Param("server_id", "the column of the server that took its REGISTER")
    connection_id_column = Param("connection_id", "the column of its TCP connection")
    keepalive_column = Param("keepalive", "accepted: keepalives leave no trace in the database")
    partition_column = Param("partition", "accepted; a table is not partitioned")
