"""What `kamtool explain KT1234` says: for each code, what it is about, why, and what to do.

The codes: KT10xx preprocessor and lexer, KT11xx grammar and names, KT12xx modules, KT13xx warnings, KT14xx
regular expressions. A test holds this table against the codes that the source uses.
"""

from __future__ import annotations

from dataclasses import dataclass

from kamtool.script.examples import EXAMPLES


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code's meaning."""

    code: str
    title: str
    text: str
    example: str = ""


_TABLE = (
    ("KT1000", "A mistake in the cfg", "A mistake without a code of its own; its message says all there is."),
    ("KT1002", "A character without a meaning",
     "Outside of strings and comments the language knows letters, digits and its operators. A `$` needs "
     "a name."),
    ("KT1003", "A comment that never ends",
     "Block comments nest: each `/*` inside another needs a `*/` of its own."),
    ("KT1004", "A string that never ends",
     "The quote that opened it has no partner up to the end of the file. In single quotes nothing is an "
     "escape, "
     "so a single-quoted string cannot contain its own quote."),
    ("KT1005", "A pseudo-variable that is not closed",
     "After `$name(` or `$(` the parentheses must balance on the same line. A quote inside means nothing."),
    ("KT1010", "A define that leads back to itself",
     "A define is replaced by its value, and the value is read again for defines. One that contains itself, "
     "directly or through others, would never end."),
    ("KT1011", "A define that exists already",
     "`#!define` never replaces a value, not even one given with -A. `#!trydef` keeps the first value, "
     "`#!redef` "
     "takes the new one. There can be 512 defines."),
    ("KT1012", "A directive without a proper name",
     "A define is named with letters, digits and `_`; a hyphen is not allowed."),
    ("KT1013", "#!ifdef and #!endif do not match",
     "Each `#!ifdef` and `#!ifndef` needs its `#!endif`. Only blanks may follow `#!else` and `#!endif` "
     "on their "
     "line: `#!endif # WITH_X` is an ordinary comment and ends nothing."),
    ("KT1014", "An #!else out of place",
     "An `#!else` belongs to exactly one `#!ifdef`. One that stands alone or is a second one is ignored."),
    ("KT1015", "The environment lacks a variable",
     "`#!defenv` makes a define from a variable of the environment, which must exist. `#!trydefenv` "
     "does without."),
    ("KT1016", "A bad #!ifexp expression",
     "`#!ifexp` and `#!defexp` (Kamailio 5.7) compute with numbers, strings, defines and C's operators. "
     "A define without a value counts as 1, one that does not exist as 0."),
    ("KT1017", "A file that cannot be included",
     "The name is looked up from the working directory, then from the directory of the file that "
     "includes it. "
     "It stands in double quotes. `import_file` passes over a file that is not there."),
    ("KT1018", "Includes too deep",
     "Files may include each other ten deep. A file that includes itself never ends."),
    ("KT1021", "A bad substitution directive",
     "`#!subst`, `#!substdef` and `#!substdefs` take \"/pattern/value/flags\" in double quotes; any "
     "character may "
     "stand for the slash. Flags are g and i."),
    ("KT1100", "An empty cfg", "A cfg needs at least one parameter, module or route."),
    ("KT1101", "Something between the items of a file",
     "Outside of routes there are global parameters, loadmodule, modparam and routes. A statement here "
     "usually "
     "means that a brace above closes one block too many."),
    ("KT1102", "The name of a route",
     "A route's name is a word, a number or a string. Words of the language must be quoted; a main "
     "block has no "
     "name; an event route needs one."),
    ("KT1103", "A statement or block out of place",
     "Blocks belong to routes, `if`, `else`, `while` and `switch`; they are not empty and do not stand "
     "alone, not "
     "even after `case x:`. `{ ; }` does nothing."),
    ("KT1104", "A mark is missing",
     "Every statement ends in `;`, every bracket has its partner. The place shown is the token before "
     "which the "
     "mark was expected."),
    ("KT1105", "A string is expected", "A name or text must be given in quotes here."),
    ("KT1106", "A number is expected", "Numbers are decimal, 0x1F, 017 (octal) or 101b (binary)."),
    ("KT1107", "Nested too deeply", "Parentheses, operators and blocks may be nested about a hundred deep."),
    ("KT1108", "Not a value",
     "A value is a number, a string, a pseudo-variable, a call with parentheses, a select or an "
     "expression of "
     "these. Assignments are no values unless in parentheses; there is no `++`, `+=` or `?:`."),
    ("KT1109", "Strings side by side",
     "Adjacent double-quoted strings become one; single-quoted ones do not. Use `+` to join values."),
    ("KT1110", "loadmodule needs a string", 'Write loadmodule "tm.so", without parentheses.'),
    ("KT1111", "The value of a modparam", "It is a string or a number. A bare word must be a define."),
    ("KT1120", "The name of a flag",
     "A flag is named by a word that the language does not use itself, or a string."),
    ("KT1121", "An unknown global parameter",
     "Its name is none of Kamailio's. Custom parameters have a group and a dot: `group.name = value`."),
    ("KT1122", "The wrong kind of value",
     "The parameter takes another kind of value. Values are literals, never "
     "expressions."),
    ("KT1123", "A custom parameter with a reserved name",
     "Neither half of `group.name` may be a word of the language: `sip.port` is refused for its `port`."),
    ("KT1124", "An address, or a name declared twice",
     "`listen` and `alias` take host names, addresses and interfaces, IPv6 in brackets. A custom "
     "parameter is "
     "declared once."),
    ("KT1125", "Not a port", "Ports are numbers from 1 to 65535."),
    ("KT1126", "A flag's number", "Flags are numbered 0 to 31, each name declared once."),
    ("KT1130", "An unknown pseudo-variable",
     "No module loaded above has it. In strings a name reaches as far as letters, digits, `.`, `_` and "
     "`?` go: a "
     "full stop behind `$rU` becomes part of the name. `$(rU)` ends where you say; `$$` is a dollar sign."),
    ("KT1131", "What stands in a variable's parentheses",
     "Some variables need a name in parentheses, others take none."),
    ("KT1132", "An unknown transformation", "It does not exist, or does not take this many parameters."),
    ("KT1133", "An unknown select", "Selects are the dotted paths of old SER, `@ruri.user`."),
    ("KT1141", "Not a network", "`src_ip` compares with an address, a prefix (10.0.0.0/8) or a mask "
     "(10.0.0.0/255.0.0.0)."),
    ("KT1150", "An unknown function",
     "No module loaded above has a function of that name with that many arguments. Functions and "
     "variables exist "
     "only below the loadmodule that brings them."),
    ("KT1151", "An argument of the wrong kind",
     "The function wants a number, or a constant text, in this place."),
    ("KT1152", "A flag that is not declared",
     "Use a number from 0 to 31, or declare the name: `flags NAME:5`."),
    ("KT1153", "A route that does not exist",
     "`route(NAME)` names a block that no file defines. Case matters."),
    ("KT1154", "It cannot be assigned",
     "The variable is read-only, or has transformations, which only read."),
    ("KT1155", "Two routes of one name",
     "Named routes are unique. (Two unnamed main blocks run one after the other.)"),
    ("KT1156", "The wrong kind of route",
     "The function does not work in this kind of route: `loose_route` needs a request, not the reply that a "
     "failure_route is about. A `route[X]` counts as a request route wherever it is called from."),
    ("KT1157", "A call inside arguments",
     "Functions take values, not other calls. Keep the result in a `$var`."),
    ("KT1158", "A constant is expected",
     "The function takes a constant here, as in Kamailio. Where it takes a format, variables stand in "
     "the string."),
    ("KT1159", "An unknown method",
     "is_method() compares with the methods it knows. For others compare `$rm`."),
    ("KT1160", "Types that do not mix",
     "Arithmetic, `<` and `&&` take numbers; a string literal there is refused although a variable that "
     "holds a "
     "string would count as a number. `1 == \"1\"` is refused, `\"1\" == 1` compares as strings."),
    ("KT1161", "A return code is a number", "`return`, `exit` and `drop` take a number."),
    ("KT1162", "A bad switch",
     "Cases are constants, all numbers or all strings and regular expressions, with one `default` at most."),
    ("KT1200", "No such module",
     "kamtool does not have the module, and does not pretend to. `kamtool modules list` shows those it has."),
    ("KT1201", "A parameter's value that the module cannot use", "The message says what the module expects."),
    ("KT1202", "A setting that the module cannot carry out",
     "An address it cannot listen on, a substitution it cannot read: the message says which."),
    ("KT1203", "An unknown module parameter", "`kamtool modules show NAME` lists what a module takes."),
    ("KT1204", "The wrong type of module parameter",
     "Numbers and strings are not converted: `5` is not `\"5\"`."),
    ("KT1205", "A module that another one needs", "Load it too."),
    ("KT1206", "A module loaded twice", "One loadmodule line is enough."),
    ("KT1210", "A change that needs a restart",
     "`kamtool reload` and SIGHUP take over a cfg as a whole or not at all. Routes, defines, flags, the log "
     "level and some module parameters change at once; sockets, the list of modules and what a module reads "
     "only at its start do not. `kamtool modules show NAME` says which parameters can."),
    ("KT1211", "A counter that nothing declares",
     "The module counts what its modparams declare: `script_counter` of counters, `variable` of statistics. "
     "Kamailio does not start with a name that is not among them."),
    ("KT1207", "modparam for a module that is not loaded",
     "The loadmodule line must stand above. The name is a regular expression over module names: \"tm|sl\"."),
    ("KT1301", "An alias that never matches",
     "In quotes the colon is part of the name. Write alias=host:5060."),
    ("KT1302", "A parameter of the past", "Kamailio 3 and older had it. It is accepted and does nothing."),
    ("KT1303", "A define that nothing makes",
     "Every `#!ifdef` for it takes the same branch. A misspelt name looks just like this."),
    ("KT1304", "An old attribute, perhaps a typing error",
     "Without `#!KAMAILIO` on the first line, a `$name` that is no pseudo-variable is silently an "
     "attribute of old "
     "SER, which can be assigned and read."),
    ("KT1305", "An unusual method",
     "Compared with a method that is not registered for SIP; it may be a typing error."),
    ("KT1306", "drop in a failure_route",
     "It ends the script, but the final reply goes upstream all the same."),
    ("KT1307", "A case that is never reached", "The same label stands above."),
    ("KT1308", "A switch without cases", "Its expression is computed and nothing else happens."),
    ("KT1309", "No request_route", "Kamailio starts without one, and then ignores every request."),
    ("KT1310", "Arming a route that does not exist",
     "t_on_failure and its kin accept any name; with a wrong one nothing will run. Kamailio never says so."),
    ("KT1311", "A route that nothing calls", "No route() and no t_on_…() names it, nor any modparam."),
    ("KT1312", "Code that is never reached", "The statement above leaves the block."),
    ("KT1313", "break outside of a loop", "It ends the route with code 0, without ending the script."),
    ("KT1314", "A condition that is always the same", "Its value is known before any message comes."),
    ("KT1315", "An assignment in a condition",
     "`($x = 1)` is 1 whatever is assigned; to compare, write `==`."),
    ("KT1316", "A text as a condition",
     "Conditions convert to a number: `if ($rU)` is false for alice and true for 123."),
    ("KT1317", "Comparing what is never undefined",
     "`$var` and `$shv` are 0 until they are set, never undefined."),
    ("KT1318", "A number compared with a text", "The text is converted to a number, which gives 0."),
    ("KT1319", "A variable in a text that is taken as written",
     "This function does not expand its argument: the `$` and the name stay as they are."),
    ("KT1320", "An event route that nothing runs",
     "Event routes are run by the module whose name they begin with, and it is not loaded. Kamailio "
     "accepts any name and never says so."),
    ("KT1321", "Not what this variable is about",
     "The text in its parentheses has a form of its own: `$sht(table=>key)`, `$cnt($avp(x))`."),
    ("KT1322", "A socket that is left out",
     "There is no SCTP. The server runs on its other sockets, as Kamailio does without its module sctp."),
    ("KT1400", "A bad regular expression",
     "Patterns are POSIX extended ones: `\\d` is the letter d (write [0-9]), a brace opens a repeat, "
     "groups need "
     "their closing parenthesis. `=~` ignores case."),
)  # fmt: skip

EXPLANATIONS = {code: Explanation(code, title, text, EXAMPLES.get(code, "")) for code, title, text in _TABLE}
