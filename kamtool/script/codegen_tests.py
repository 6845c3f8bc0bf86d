"""Code generation for keyword tests: `uri == myself`, `src_ip == 10.0.0.0/8`, `method == INVITE`."""

from __future__ import annotations

from kamtool.script.codegen_values import IGNORE_CASE, ValueCode
from kamtool.script.fold import fold
from kamtool.script.guards import network_test
from kamtool.script.nodes import Myself, Network, String, Test, Word
from kamtool.script.operands import Operand, as_int, as_str, equality, of_constant, plain


class TestCode(ValueCode):
    """Writes the tests."""

    def test(self, node: Test) -> Operand:
        left = KEYWORDS[node.keyword]
        if node.right is None:
            return left
        positive = node.operator not in ("!=", "ne", "ine")
        if isinstance(node.right, Myself) and node.keyword == "uri":
            return Operand(f"{'' if positive else 'not '}request_is_for_myself(ctx)", "bool")
        if isinstance(node.right, Myself):
            test = "is_myself_uri" if node.keyword in ("from_uri", "to_uri") else "is_myself_address"
            return Operand(f"{'' if positive else 'not '}{test}(ctx, {as_str(left)})", "bool")
        if isinstance(node.right, Network):
            address, mask = node.right.address, node.right.mask
            test = self.names.object("net", ("net", address, mask), lambda: network_test(address, mask))
            return Operand(f"{'' if positive else 'not '}{test}({as_str(left)})", "bool")
        if isinstance(node.right, Word):
            return Operand(f"({equality(left, self._word(node.keyword, node.right), positive)})", "bool")
        if node.keyword.endswith("_ip") and node.operator in ("==", "!="):
            right = plain(self.value(fold(node.right)))
            return Operand(f"{'' if positive else 'not '}address_equal({left.code}, {right.code})", "bool")
        return self._compare(node, left)

    def _word(self, keyword: str, word: Word) -> Operand:
        if keyword in ("af", "snd_af"):
            return of_constant({"INET6": 10, "inet6": 10, "ipv6": 10}.get(word.value, 2))
        if keyword in ("proto", "snd_proto"):
            return of_constant(word.value.lower())
        if keyword == "msg:len":
            return of_constant(65535)
        return of_constant(word.value)

    def _compare(self, node: Test, left: Operand) -> Operand:
        assert node.right is not None
        if node.operator == "=~" and isinstance(right := fold(node.right), String):
            return Operand(f"{self.names.pattern(right.value, IGNORE_CASE)}({as_str(left)})", "bool")
        right_side = plain(self.value(fold(node.right)))
        match node.operator:
            case "==" | "!=":
                return Operand(f"({equality(left, right_side, node.operator == '==')})", "bool")
            case "=~":
                return Operand(f"matches({as_str(right_side)}, {as_str(left)})", "bool")
            case "eq" | "ne":
                sign = "==" if node.operator == "eq" else "!="
                return Operand(f"({as_str(left)} {sign} {as_str(right_side)})", "bool")
        sign = {"ieq": "==", "ine": "!="}.get(node.operator, node.operator)
        return Operand(f"({as_int(left)} {sign} {as_int(right_side)})", "bool")


KEYWORDS: dict[str, Operand] = {
    "method": Operand("ctx.msg.method", "str"),
    "uri": Operand("request_uri(ctx)", "str"),
    "from_uri": Operand("(ctx.msg.from_address or ctx.msg.from_.uri)", "str"),
    "to_uri": Operand("(ctx.msg.to_address or ctx.msg.to.uri)", "str"),
    "src_ip": Operand("ctx.flow.remote.host", "str"),
    "dst_ip": Operand("ctx.flow.local.host", "str"),
    "src_port": Operand("ctx.flow.remote.port", "int"),
    "dst_port": Operand("ctx.flow.local.port", "int"),
    "proto": Operand("ctx.flow.transport", "str"),
    "af": Operand("(10 if ':' in ctx.flow.remote.host else 2)", "int"),
    "msg:len": Operand("len(ctx.msg.data)", "int"),
    "max_len": Operand("65535", "int", 65535),
    "snd_ip": Operand("sent(ctx, 'local', 'host')", "str?"),
    "snd_port": Operand("sent(ctx, 'local', 'port')", "int?"),
    "snd_proto": Operand("sent(ctx, '', 'transport')", "str?"),
    "snd_af": Operand("sent(ctx, '', 'af')", "int?"),
    "to_ip": Operand("sent(ctx, 'remote', 'host')", "str?"),
    "to_port": Operand("sent(ctx, 'remote', 'port')", "int?"),
}
