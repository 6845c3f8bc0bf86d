"""Calls as ladders: messages sorted into calls, endpoints into columns, and drawn in several ways."""
