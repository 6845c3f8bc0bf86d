"""`kamtool cfg routes`: who calls and who arms which route."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from click.testing import CliRunner

from kamtool.cli.cfg import command
from kamtool.errors import ConfigErrors
from kamtool.script.callgraph import call_graph, title
from kamtool.script.callgraph_svg import svg
from kamtool.script.callgraph_text import data, dot, mermaid, tree
from kamtool.script.syntax import parse, source_of

CFG = """loadmodule "tm.so"
loadmodule "rtimer.so"
modparam("rtimer", "exec", "timer=t;route=TICK")
request_route {
	route(AUTH);
	if (route(CHECK) && !route("CHECK")) { t_on_failure("FAIL"); t_on_reply("GONE"); }
	t_on_branch("0");
	route(NOWHERE);
}
route[AUTH] { route(CHECK); }
route[CHECK] { route(CHECK); route(AUTH); exit; }
route[TICK] { exit; }
route[LOST] { route(FOUND); }
route[FOUND] { exit; }
failure_route[FAIL] { t_on_branch("B"); }
branch_route[B] { exit; }
event_route[tm:local-request] { route(AUTH); }
"""


def graph_of(text):
    syntax = parse(source_of(text, "case.cfg"))
    assert not syntax.errors
    return call_graph(syntax.items)


@pytest.fixture
def graph():
    return graph_of(CFG)


def test_calls_and_arming_are_edges_with_their_lines(graph):
    edges = {(row["from"], row["to"], row["by"], row["line"]) for row in data(graph)["edges"]}
    assert edges == {
        ("request_route", "route[AUTH]", "route", 5),
        ("request_route", "route[CHECK]", "route", 6),
        ("request_route", "failure_route[FAIL]", "t_on_failure", 6),
        ("request_route", "onreply_route[GONE]", "t_on_reply", 6),
        ("request_route", "route[NOWHERE]", "route", 8),
        ("route[AUTH]", "route[CHECK]", "route", 10),
        ("route[CHECK]", "route[CHECK]", "route", 11),
        ("route[CHECK]", "route[AUTH]", "route", 11),
        ("route[LOST]", "route[FOUND]", "route", 13),
        ("failure_route[FAIL]", "branch_route[B]", "t_on_branch", 15),
        ("event_route[tm:local-request]", "route[AUTH]", "route", 17),
    }
    assert len(graph.edges) == 12, "the two calls of CHECK on line 6 are two edges"


def test_what_nothing_leads_to_and_what_does_not_exist_is_marked(graph):
    assert {title(key) for key in graph.unused} == {"route[LOST]"}
    assert {title(key) for key in graph.unreachable} == {"route[FOUND]"}
    assert {title(key) for key in graph.undefined} == {"route[NOWHERE]", "onreply_route[GONE]"}
    assert {title(key) for key in graph.entries} == {
        "request_route", "route[TICK]", "event_route[tm:local-request]",
    }  # fmt: skip


def test_routes_that_only_call_each_other_are_unreachable():
    graph = graph_of("request_route { exit; }\nroute[A] { route(B); }\nroute[B] { route(A); }\n")
    assert {title(key) for key in graph.unreachable} == {"route[A]", "route[B]"}


def test_a_name_of_run_time_may_be_any_route():
    graph = graph_of("request_route { route($var(x)); }\nroute[A] { exit; }\nfailure_route[F] { exit; }\n")
    assert {title(key) for key in graph.unused} == {"failure_route[F]"}
    assert "└─ route(…)  line 1  any route: the name is only known at run time" in tree(graph)


def test_the_tree_opens_each_block_once(graph):
    assert "\n".join(tree(graph)) == (
        "request_route  case.cfg:4\n"
        "├─ route[AUTH]  line 5\n"
        "│  └─ route[CHECK]  line 10\n"
        "│     ├─ route[CHECK]  line 11  again\n"
        "│     └─ route[AUTH]  line 11  again\n"
        "├─ route[CHECK]  line 6  above\n"
        "├─ t_on_failure → failure_route[FAIL]  line 6\n"
        "│  └─ t_on_branch → branch_route[B]  line 15\n"
        "├─ t_on_reply → onreply_route[GONE]  line 6  UNDEFINED\n"
        "└─ route[NOWHERE]  line 8  UNDEFINED\n"
        "\n"
        "route[TICK]  case.cfg:12\n"
        "\n"
        "event_route[tm:local-request]  case.cfg:17\n"
        "└─ route[AUTH]  line 17  above\n"
        "\n"
        "route[LOST]  case.cfg:13  UNUSED\n"
        "└─ route[FOUND]  line 13"
    )


def test_the_forms_for_other_programs(graph):
    chart = list(mermaid(graph))
    assert chart[0] == "flowchart LR"
    assert '    n0(["request_route"])' in chart
    assert any(line.endswith(":::undefined") for line in chart)
    assert any("-. t_on_failure .->" in line for line in chart)
    lines = list(dot(graph))
    assert (lines[0], lines[-1]) == ("digraph routes {", "}")
    assert sum(" -> " in line for line in lines) == 11


SPACE = "{http://www.w3.org/2000/svg}"


def boxes(text):
    root = ElementTree.fromstring(text)
    found = [each for each in root.iter(f"{SPACE}rect") if "block" in each.get("class", "")]
    return root, [tuple(float(each.get(name)) for name in ("x", "y", "width", "height")) for each in found]


def test_the_picture_shows_every_block_and_none_covers_another(graph):
    root, places = boxes(svg(graph))
    words = {each.text for each in root.iter(f"{SPACE}text")}
    assert {title(key) for key in graph.keys} <= words
    assert len(places) == len(graph.keys)
    assert len([each for each in root.iter(f"{SPACE}path") if "edge" in each.get("class", "")]) == 11
    width, height = float(root.get("width")), float(root.get("height"))
    for number, (x, y, w, h) in enumerate(places):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for x2, y2, w2, h2 in places[:number]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_a_picture_of_many_routes_is_made_too():
    names = [f"R{number}" for number in range(60)]
    calls = {name: names[(7 * n) % 60 :: 11] for n, name in enumerate(names)}
    text = "request_route { route(R0); }\n" + "".join(
        f"route[{name}] {{ {' '.join(f'route({called});' for called in calls[name])} exit; }}\n"
        for name in names
    )
    _, places = boxes(svg(graph_of(text)))
    assert len(places) == 61
    assert len({place[:2] for place in places}) == 61


def test_the_command_prints_each_form(tmp_path):
    file = tmp_path / "a.cfg"
    file.write_text(CFG)
    for words, start in (
        ([], "request_route"), (["--mermaid"], "flowchart"), (["--dot"], "digraph"), (["--svg"], "<svg"),
    ):  # fmt: skip
        left = CliRunner().invoke(command, ["routes", *words, str(file)])
        assert left.exit_code == 0, left.exception
        assert left.stdout.startswith(start)
    left = CliRunner().invoke(command, ["routes", "-o", "json", str(file)])
    assert json.loads(left.stdout)["undefined"] == ["onreply_route[GONE]", "route[NOWHERE]"]


def test_a_cfg_that_does_not_parse_is_refused(tmp_path):
    file = tmp_path / "bad.cfg"
    file.write_text("request_route {\n")
    for name in ("routes", "adapt"):
        assert isinstance(CliRunner().invoke(command, [name, str(file)]).exception, ConfigErrors)
