"""Controls: the graph of tables, conditionals and calls as labels and gotos."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen.actions import action_name
from p4native.codegen.context import Context
from p4native.codegen.emitter import Emitter
from p4native.codegen.errors import CodegenError
from p4native.codegen.expr import ExprGen
from p4native.codegen.names import c_string, identifier, unique
from p4native.codegen.tables import TableGen, goto_label

Node = m.Table | m.Conditional | m.DirectCall


class ControlGen:
    """Generates `p4n_ingress(p)` and `p4n_egress(p)`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tables = TableGen(context)

    def emit(self, out: Emitter, name: str) -> None:
        """One control function; empty when the program lacks the control."""
        pipeline = self.context.program.pipeline(name)
        with out.function(f"P4N_FN void p4n_{name}(struct p4n_phv *p)"):
            out.line("(void)p;")
            if pipeline is None or pipeline.init is None:
                return
            order = _order(pipeline)
            taken = {"end"}
            goto = {n.name: unique(f"node_{identifier(n.name)}", taken) for n in order}
            reached = {name for node in order for name in _successors(node)}
            for node in order:
                if node.name in reached:
                    out.label(goto[node.name])
                with out.block(""):
                    self._node(out, node, goto)
            out.label("end")
            out.line("return;")

    def _node(self, out: Emitter, node: Node, goto: dict[str, str]) -> None:
        if isinstance(node, m.Table):
            self.tables.apply(out, node, goto)
        elif isinstance(node, m.Conditional):
            self._conditional(out, node, goto)
        else:
            self._call(out, node, goto)

    def _conditional(self, out: Emitter, node: m.Conditional, goto: dict[str, str]) -> None:
        exprs = ExprGen(
            self.context.layout, out, self.context.registers, (), f"condition {node.name}"
        )
        condition = out.temp("const bool", exprs.boolean(node.expression))
        out.line(f"P4N_TRACE_CONDITION({c_string(node.source or node.name)}, {condition});")
        with out.block(f"if ({condition})"):
            out.line(f"goto {goto_label(goto, node.true_next)};")
        out.line(f"goto {goto_label(goto, node.false_next)};")

    def _call(self, out: Emitter, node: m.DirectCall, goto: dict[str, str]) -> None:
        action = self.context.program.action(node.action_id)
        out.line(f"{action_name(action)}(p, NULL);")
        out.line("if (p->exit)")
        out.line("\treturn;")
        out.line(f"goto {goto_label(goto, node.next_node)};")


def _order(pipeline: m.Pipeline) -> list[Node]:
    """Reachable nodes, each after its predecessors where possible; a cycle is refused."""
    nodes: dict[str, Node] = {}
    listed: list[Node] = [*pipeline.tables, *pipeline.conditionals, *pipeline.calls]
    for node in listed:
        nodes[node.name] = node
    finished: list[Node] = []
    state: dict[str, int] = {}
    stack: list[tuple[str, list[str]]] = []

    def enter(name: str) -> None:
        state[name] = 1
        stack.append((name, _successors(nodes[name])))

    assert pipeline.init is not None
    enter(pipeline.init)
    while stack:
        name, todo = stack[-1]
        if not todo:
            state[name] = 2
            finished.append(nodes[name])
            stack.pop()
            continue
        target = todo.pop()
        if state.get(target) == 1:
            raise CodegenError(pipeline.name, f"control flow comes back to '{target}'")
        if target not in state:
            enter(target)
    return finished[::-1]


def _successors(node: Node) -> list[str]:
    if isinstance(node, m.Table):
        targets = [*node.next_by_action.values(), node.next_hit, node.next_miss]
        targets.append(node.base_default_next)
    elif isinstance(node, m.Conditional):
        targets = [node.true_next, node.false_next]
    else:
        targets = [node.next_node]
    return list(dict.fromkeys(t for t in targets if t is not None))
