"""Everything that comes into a server, kept in a file, so that it can be done again offline."""
