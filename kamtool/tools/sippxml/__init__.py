"""SIPp's scenario files as they are: XML with its lines, the steps, the keywords in a message, CSV users.

Nothing here sends anything. What it reads, `kamtool.tools.stress` runs.
"""
