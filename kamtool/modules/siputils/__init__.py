"""Small tools for SIP: URIs, telephone numbers, Contacts, OPTIONS."""

from __future__ import annotations

from kamtool.module import Module
from kamtool.modules.siputils.charging import ChargingFunctions
from kamtool.modules.siputils.checks import CheckFunctions
from kamtool.modules.siputils.contact import ContactFunctions
from kamtool.modules.siputils.numbers import NumberFunctions
from kamtool.modules.siputils.options import OptionsFunctions
from kamtool.modules.siputils.party import PartyFunctions
from kamtool.modules.siputils.ringing import RingingFunctions
from kamtool.modules.siputils.uris import UriFunctions


class Siputils(
    ChargingFunctions,
    CheckFunctions,
    UriFunctions,
    NumberFunctions,
    ContactFunctions,
    OptionsFunctions,
    PartyFunctions,
    RingingFunctions,
    Module,
):
    """Asks and changes what no other module is about: URI parameters, numbers, encoded Contacts, OPTIONS."""

    name = "siputils"
