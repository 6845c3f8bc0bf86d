"""Coverage-guided fuzzing: `python -m tests.fuzz TARGET --seconds N`, with atheris (`pip install atheris`).

Each module here with `run(data)` and `seeds()` is a target: `run` raises for what is wrong, and for nothing a
peer may send. What the fuzzer found worth keeping stands in `corpus/TARGET.txt`, one input a line in base64;
`test_corpus.py` feeds it all again, without atheris.
"""
