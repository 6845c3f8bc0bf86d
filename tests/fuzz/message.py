"""A message is parsed or refused with ParseError, and so is every part of it."""

from contextlib import suppress

from kamtool.errors import ParseError
from kamtool.sip.message import parse, salvage, validate
from tests.fuzz.messages import seeds as seeds

PARTS = (
    "from_", "to", "from_uri", "to_uri", "top_via", "vias", "content_type", "expires", "contacts", "routes",
    "record_routes", "body", "reason",
)  # fmt: skip


def run(data):
    with suppress(ParseError):
        look(parse(data))
    with suppress(ParseError):
        look(parse(data, stream=True))
    saved = salvage(data)
    if saved is not None:
        look(saved)


def look(message):
    for name in PARTS:
        with suppress(ParseError):
            getattr(message, name)
    with suppress(ParseError):
        validate(message)
    end = 0
    for field in message.fields():
        assert end <= field.start < field.end <= message.head_end, field
        end = field.end
        message.items(field.name)
        message.param(field.name, "tag")
    repr(message)
