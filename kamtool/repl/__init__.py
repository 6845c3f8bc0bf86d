"""The debugger's prompt. It runs in a process of its own and speaks to the server over the control socket."""
