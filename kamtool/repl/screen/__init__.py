"""The debugger on the whole terminal: source, stack, watches and message, with the prompt below."""
