"""The realm that passwords are hashed for when nobody names one."""

DEFAULT_REALM = "kamtool"
"""What cfg/default.cfg challenges with (its REALM). It is no host name: a phone may use any."""
