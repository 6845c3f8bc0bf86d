"""The debugger without a terminal: it stops one message, looks into it, changes it and lets it go.

`session` is the engine, one for each client; `commands` is what a client can ask of it; `attach` serves that
over the control socket. The shells (a prompt, an editor by `dap`) run in processes of their own.
"""
