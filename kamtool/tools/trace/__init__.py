"""`kamtool trace`: from a running server's tap, from files and from HEP to whoever looks at the messages."""
