"""kamtool: a SIP server that runs kamailio.cfg files, and the tools around it."""

__version__ = "0.1.0"

from kamtool import compiled as compiled
