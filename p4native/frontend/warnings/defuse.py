"""Warnings about values read before they are written and fields of invalid headers.

A forward analysis of every parser, control and function: actions and tables are followed where
they are called, parser states until nothing changes any more.
"""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.flow import reachable_states, successors
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.types import (
    EnumType,
    StackType,
    StructType,
    Type,
    VoidType,
    is_header,
    is_union,
)
from p4native.frontend.warnings.storage import (
    INVALID,
    MAYBE,
    VALID,
    Key,
    State,
    headers,
    join,
    leaves,
    plain_leaves,
)

_OUT = ("out", "inout")
_MAX_CALLS = 5000  # actions followed in one analysis


def warn_uninitialized(program: ir.Program, used: set[ir.Decl], reporter: Reporter) -> None:
    """Analyse the program's parsers, controls and functions that are used."""
    for decl in program.decls:
        if decl not in used:
            continue
        analysis = Analysis(reporter)
        with reporter.mute(ir.no_warn(decl.annotations)):
            if isinstance(decl, ir.ControlDecl):
                analysis.control(decl)
            elif isinstance(decl, ir.ParserDecl):
                analysis.parser(decl)
            elif isinstance(decl, ir.FunctionDecl):
                analysis.function(decl)


class Analysis:
    """The analysis of one parser, control or function."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.state: State | None = State()
        self.silent = False
        self.calls = 0
        self.returned: State | None = None  # joined states at `return`s
        self.loop_exits: list[State | None] = []

    # ------------------------------------------------------------ whole blocks

    def control(self, control: ir.ControlDecl) -> None:
        """Analyse a control."""
        self._params(control.params)
        self._locals(control.locals)
        self._statement(control.body)
        self._check_out(control, control.params, join(self.state, self.returned))

    def function(self, function: ir.FunctionDecl) -> None:
        """Analyse a function."""
        self._params(function.params)
        self._statement(function.body)
        self._check_out(function, function.params, join(self.state, self.returned))

    def parser(self, parser: ir.ParserDecl) -> None:
        """Analyse a parser: first until the states' inputs settle, then with warnings."""
        self._params(parser.params)
        self._locals(parser.locals)
        states = reachable_states(parser)
        if not states:
            return
        inputs: dict[ir.StateDecl, State | None] = {states[0]: self.state}
        self.silent = True
        pending = [states[0]]
        while pending:
            state = pending.pop(0)
            after = self._run_state(state, inputs[state])
            for following in successors(state, parser):
                old = inputs.get(following)
                new = join(old, after)
                if following not in inputs or (
                    new is not None and (old is None or not new.same(old))
                ):
                    inputs[following] = new
                    if following not in pending:
                        pending.append(following)
        self.silent = False
        for state in states:
            self._run_state(state, inputs[state])
        final = join(inputs.get(parser.accept), inputs.get(parser.reject))
        self._check_out(parser, parser.params, final)

    def _run_state(self, state: ir.StateDecl, before: State | None) -> State | None:
        self.state = None if before is None else before.copy()
        with self.reporter.mute(ir.no_warn(state.annotations)):
            for statement in state.statements:
                self._statement(statement)
            if self.state is not None and isinstance(state.transition, ir.Select):
                for selector in state.transition.selectors:
                    self._read(selector)
        return self.state

    def _params(self, params: list[ir.Param]) -> None:
        assert self.state is not None
        for param in params:
            self.state.declare(param, param.type, param.direction != "out")

    def _locals(self, decls: list[ir.Decl]) -> None:
        for decl in decls:
            if isinstance(decl, ir.VarDecl):
                self._variable(decl)

    def _check_out(self, owner: ir.Decl, params: list[ir.Param], final: State | None) -> None:
        if final is None:
            return
        for param in params:
            if param.direction != "out":
                continue
            if any((param, *p) in final.unwritten for p in plain_leaves(param.type)):
                self._warn(
                    "uninitialized-out-param",
                    f"out parameter '{param.name}' may be uninitialized when '{owner.name}'"
                    " terminates",
                    param,
                )

    def _warn(self, category: str, message: str, node: ir.Node) -> None:
        if not self.silent:
            self.reporter.warning(category, message, node.loc)

    # ------------------------------------------------------------ statements

    def _statement(self, statement: ir.Statement) -> None:
        if self.state is None:
            return
        if isinstance(statement, ir.Block):
            with self.reporter.mute(ir.no_warn(statement.annotations)):
                for inner in statement.statements:
                    self._statement(inner)
        elif isinstance(statement, ir.DeclStmt):
            if isinstance(statement.decl, ir.VarDecl):
                self._variable(statement.decl)
        elif isinstance(statement, ir.Assign):
            self._assign(statement)
        elif isinstance(statement, ir.CallStmt):
            self._read(statement.call)
        elif isinstance(statement, ir.If):
            self._if(statement)
        elif isinstance(statement, ir.Switch):
            self._switch(statement)
        elif isinstance(statement, (ir.For, ir.ForIn)):
            self._loop(statement)
        else:
            self._jump(statement)

    def _jump(self, statement: ir.Statement) -> None:
        if isinstance(statement, ir.Return):
            if statement.expr is not None:
                self._read(statement.expr)
            self.returned = join(self.returned, self.state)
            self.state = None
        elif isinstance(statement, ir.Exit):
            self.state = None
        elif isinstance(statement, (ir.Break, ir.Continue)):
            if self.loop_exits:
                self.loop_exits[-1] = join(self.loop_exits[-1], self.state)
            self.state = None

    def _variable(self, decl: ir.VarDecl) -> None:
        if decl.init is not None:
            self._read(decl.init)
        if self.state is None:
            return
        self.state.declare(decl, decl.type, decl.init is not None)
        if decl.init is not None:
            self._copy_headers([(decl,)], decl.init, decl.type)

    def _assign(self, statement: ir.Assign) -> None:
        if statement.op != "=":
            self._read(statement.left)
        self._lvalue(statement.left)
        self._read(statement.right)
        self._store(statement.left, statement.right)

    def _store(self, left: ir.Expression, right: ir.Expression | None) -> None:
        """Note that `left` is written, with the headers of `right` if that is known."""
        if self.state is None:
            return
        target = left
        while isinstance(target, (ir.Slice, ir.PlusSlice)):
            target = target.expr
        keys = self._keys(target)
        if _certain(target):
            for key in keys:
                self.state.write(key, target.type)
        if is_header(target.type) and _certain(target):
            self._set_union(target)
        if right is not None:
            self._copy_headers(keys, right, target.type, _certain(target))
        else:
            for key in keys:
                self.state.set_headers(key, target.type, VALID)

    def _copy_headers(
        self, keys: list[Key], source: ir.Expression, t: Type, certain: bool = True
    ) -> None:
        paths = headers(t)
        if not paths or self.state is None:
            return
        origin = self._keys(source) if _is_storage(source) else []
        for path in paths:
            validity = VALID
            if isinstance(source, ir.InvalidHeader):
                validity = INVALID
            elif len(origin) == 1:
                validity = self.state.header(origin[0] + path)
            elif isinstance(source, ir.StructExpr):
                validity = self._field_validity(source, path)
            if certain or validity == VALID:
                for key in keys:
                    self.state.set_validity(key + path, validity)

    def _field_validity(self, source: ir.StructExpr, path: Key) -> str:
        """The validity of the header at `path` inside a struct value."""
        assert self.state is not None
        if not path:
            return VALID
        for named in source.fields:
            if named.name != path[0]:
                continue
            if isinstance(named.expr, ir.InvalidHeader):
                return INVALID
            if isinstance(named.expr, ir.StructExpr):
                return self._field_validity(named.expr, path[1:])
            keys = self._keys(named.expr) if _is_storage(named.expr) else []
            if len(keys) == 1:
                return self.state.header(keys[0] + path[1:])
        return VALID

    def _if(self, statement: ir.If) -> None:
        ends: list[State | None] = []
        node: ir.Statement | None = statement
        first_quiet: set[Key] | None = None
        while isinstance(node, ir.If) and self.state is not None:
            if first_quiet is None:
                first_quiet = set(self.state.quiet)
            self._read(node.cond)
            otherwise = None if self.state is None else self.state.copy()
            self._statement(node.then)
            ends.append(self.state)
            self.state = otherwise
            node = node.other
        if node is not None:
            self._statement(node)
        for end in ends:
            self.state = join(self.state, end)
        if self.state is not None and first_quiet is not None:
            self.state.quiet = first_quiet & (self.state.quiet | first_quiet)

    def _switch(self, statement: ir.Switch) -> None:
        assert self.state is not None
        quiet = set(self.state.quiet)
        self._read(statement.expr)
        before = self.state
        if before is None:
            return
        end: State | None = None
        has_default = False
        for case in statement.cases:
            has_default = has_default or isinstance(case.label, ir.DontCare)
            if case.body is None:
                continue
            self.state = before.copy()
            self._statement(case.body)
            end = join(end, self.state)
        self.state = end if has_default else join(end, before)
        if self.state is not None:
            self.state.quiet = quiet

    def _loop(self, statement: ir.For | ir.ForIn) -> None:
        if isinstance(statement, ir.For):
            for init in statement.init:
                self._statement(init)
        else:
            self._read(statement.collection)
            self._loop_variable(statement)
        if self.state is None:
            return
        silent, self.silent = self.silent, True
        self._iteration(statement, self.state.copy())  # what later iterations find
        self.silent = silent
        self._iteration(statement, self.state)

    def _loop_variable(self, statement: ir.ForIn) -> None:
        if self.state is None:
            return
        var = statement.var
        decl = var if isinstance(var, ir.VarDecl) else var.decl
        if decl is not None:
            self.state.declare(decl, var.type, True)

    def _iteration(self, statement: ir.For | ir.ForIn, before: State) -> None:
        """One pass through a loop's body from `before`; leaves the state after the loop."""
        self.state = before.copy()
        if isinstance(statement, ir.For):
            self._read(statement.cond)
        after_condition = self.state
        self.loop_exits.append(None)
        if self.state is not None:
            self.state = self.state.copy()
        self._statement(statement.body)
        if isinstance(statement, ir.For):
            for update in statement.update:
                self._statement(update)
        self.state = join(join(self.state, self.loop_exits.pop()), after_condition)

    # ------------------------------------------------------------ expressions

    def _keys(self, expr: ir.Expression) -> list[Key]:
        """The parts of variables an expression may stand for."""
        if isinstance(expr, ir.Path):
            return [(expr.decl,)] if isinstance(expr.decl, (ir.VarDecl, ir.Param)) else []
        if isinstance(expr, ir.Member):
            bases = self._keys(expr.expr)
            owner = expr.expr.type
            if isinstance(owner, StackType):
                return [(*b, i) for b in bases for i in _elements(owner)]
            return [(*b, expr.name) for b in bases]
        if isinstance(expr, ir.Index) and isinstance(expr.expr.type, StackType):
            bases = self._keys(expr.expr)
            index = expr.index.value
            if isinstance(index, int):
                return [(*b, index) for b in bases]
            return [(*b, i) for b in bases for i in _elements(expr.expr.type)]
        return []

    def _lvalue(self, expr: ir.Expression) -> None:
        """What writing to `expr` reads: indices and the validity of headers."""
        if isinstance(expr, ir.Index):
            self._read(expr.index)
            self._lvalue(expr.expr)
        elif isinstance(expr, ir.Member):
            self._lvalue(expr.expr)
            self._header_access(expr)
        elif isinstance(expr, (ir.Slice, ir.PlusSlice)):
            self._lvalue(expr.expr)

    def _header_access(self, expr: ir.Member) -> None:
        """Warn if a field of a header that is not valid is accessed."""
        if not is_header(expr.expr.type) or self.state is None:
            return
        keys = self._keys(expr.expr)
        if not keys:
            return
        found = {self.state.header(k) for k in keys}
        if VALID in found:
            return
        validity = MAYBE if MAYBE in found else INVALID
        self._warn("invalid-header", f"accessing a field of {validity} header", expr)

    def _read(self, expr: ir.Expression) -> None:
        """Evaluate an expression for its reads and effects."""
        if self.state is None or expr.value is not None:
            return
        if _is_storage(expr):
            self._read_storage(expr)
        elif isinstance(expr, ir.Call):
            self._call(expr)
        elif isinstance(expr, ir.Binary) and expr.op in ("&&", "||"):
            self._short_circuit(expr)
        elif isinstance(expr, ir.Ternary):
            self._ternary(expr)
        else:
            for child in _operands(expr):
                self._read(child)

    def _short_circuit(self, expr: ir.Binary) -> None:
        self._read(expr.left)
        if self.state is None:
            return
        skipped = self.state.copy()
        self._read(expr.right)
        if self.state is not None:
            quiet = self.state.quiet
            self.state = self.state.join(skipped)
            self.state.quiet = quiet

    def _ternary(self, expr: ir.Ternary) -> None:
        self._read(expr.cond)
        if self.state is None:
            return
        before = self.state.copy()
        self._read(expr.then)
        after_then = self.state
        self.state = before
        self._read(expr.other)
        self.state = join(self.state, after_then)

    def _read_storage(self, expr: ir.Expression) -> None:
        self._lvalue(expr)
        if self.state is None or isinstance(expr, (ir.Slice, ir.PlusSlice)):
            return
        keys = self._keys(expr)
        t = expr.type
        missing = [
            path
            for path in leaves(t)
            if keys and all(key + path in self.state.unwritten for key in keys)
        ]
        if not missing:
            return
        if isinstance(t, StructType):
            if t.kind == "header_union" and len(missing) < len(leaves(t)):
                return
            names = dict.fromkeys(str(p[0]) for p in missing)
            for name in names:
                self._warn("uninitialized-use", f"field '{name}' may be uninitialized", expr)
        elif isinstance(t, StackType):
            self._warn("uninitialized-use", "this may not be completely initialized", expr)
        else:
            self._warn("uninitialized-use", f"'{_text(expr)}' may be uninitialized", expr)

    # ------------------------------------------------------------ calls

    def _call(self, call: ir.Call) -> None:
        if call.kind is ir.CallKind.BUILTIN:
            self._builtin(call)
            return
        if call.receiver is not None and isinstance(call.callee, ir.Member):
            self._lvalue(call.receiver)
        for arg in call.args:
            if arg.param is None or arg.param.direction != "out":
                self._read(arg.expr)
            elif not isinstance(arg.expr, ir.DontCare):
                self._lvalue(arg.expr)
        if self.state is None:
            return
        if call.kind is ir.CallKind.ACTION and isinstance(call.target, ir.ActionDecl):
            self._action(call, call.target)
        elif call.kind is ir.CallKind.TABLE_APPLY and isinstance(call.target, ir.TableDecl):
            self._table(call.target)
        else:
            self._written_arguments(call)

    def _written_arguments(self, call: ir.Call) -> None:
        for arg in call.args:
            if _is_written(arg):
                self._store(arg.expr, None)

    def _builtin(self, call: ir.Call) -> None:
        receiver = call.receiver
        if receiver is None or self.state is None:
            return
        self._lvalue(receiver)
        keys = self._keys(receiver)
        if call.builtin == "isValid":
            self.state.quiet.update(keys)
            for key in keys:
                self.state.quiet.update(key + p for p in headers(receiver.type))
        elif call.builtin in ("setValid", "setInvalid"):
            if _certain(receiver) or call.builtin == "setValid":
                validity = VALID if call.builtin == "setValid" else INVALID
                self._set_union(receiver)
                for key in keys:
                    self.state.set_validity(key, validity)
        else:
            for key in keys:
                self.state.set_headers(key, receiver.type, VALID)

    def _set_union(self, receiver: ir.Expression) -> None:
        """Making one member of a header union valid makes the others invalid."""
        if not isinstance(receiver, ir.Member) or self.state is None:
            return
        owner = receiver.expr.type
        if is_union(owner) and _certain(receiver.expr):
            for key in self._keys(receiver.expr):
                self.state.set_headers(key, owner, INVALID)
                self.state.set_validity(key, VALID)

    def _action(self, call: ir.Call, action: ir.ActionDecl) -> None:
        self.calls += 1
        if self.calls > _MAX_CALLS or self.state is None:
            self.silent = True  # too large to say anything more
            self._written_arguments(call)
            return
        given = {a.param: a for a in call.args}
        for param in action.params:
            self.state.declare(param, param.type, param.direction != "out")
            arg = given.get(param)
            if arg is not None and param.direction != "out":
                self._copy_headers([(param,)], arg.expr, param.type)
        saved, self.returned = self.returned, None
        with self.reporter.mute(ir.no_warn(action.annotations)):
            self._statement(action.body)
        self.state = join(self.state, self.returned)
        self.returned = saved
        if self.state is None:
            return
        self._check_out(action, action.params, self.state)
        for arg in call.args:
            if arg.param is not None and _is_written(arg):
                source = ir.Path(arg.param.name, decl=arg.param, type=arg.param.type)
                self._store(arg.expr, source)

    def _table(self, table: ir.TableDecl) -> None:
        assert self.state is not None
        quiet = set(self.state.quiet)
        for key in table.keys:
            self._read(key.expr)
        before = self.state
        if before is None:
            return
        end: State | None = None
        for ref in table.actions:
            self.state = before.copy()
            self._call(ref.call)
            end = join(end, self.state)
        self.state = end if table.actions else before
        if self.state is not None:
            # What actions of tables do to headers depends on entries: not taken into account.
            self.state.validity = dict(before.validity)
            self.state.quiet = quiet


def _elements(stack: StackType) -> range:
    """The indices of a stack's elements, none if the stack is too large to be tracked."""
    return range(stack.size) if leaves(stack) else range(0)


def _is_written(arg: ir.Argument) -> bool:
    """Whether a call writes this argument."""
    written = arg.param is not None and arg.param.direction in _OUT
    return written and not isinstance(arg.expr, ir.DontCare)


def _certain(expr: ir.Expression) -> bool:
    """Whether an lvalue names one place rather than one of several."""
    if isinstance(expr, ir.Index):
        return isinstance(expr.index.value, int) and _certain(expr.expr)
    if isinstance(expr, ir.Member):
        stack = isinstance(expr.expr.type, StackType)
        # `next` is taken to fill the stack in order: too many warnings otherwise
        return (not stack or expr.name == "next") and _certain(expr.expr)
    return True


def _is_storage(expr: ir.Expression) -> bool:
    """Whether the expression names (a part of) a variable."""
    if isinstance(expr, ir.Path):
        return isinstance(expr.decl, (ir.VarDecl, ir.Param)) and not isinstance(
            expr.type, (VoidType, EnumType)
        )
    if isinstance(expr, ir.Member):
        return expr.name not in ("size", "lastIndex") and _is_storage(expr.expr)
    return isinstance(expr, ir.Index) and _is_storage(expr.expr)


def _operands(expr: ir.Expression) -> list[ir.Expression]:
    found: list[ir.Expression] = []
    for name in expr.CHILDREN:
        child = getattr(expr, name)
        items = child if isinstance(child, list) else [child]
        for item in items:
            if isinstance(item, ir.NamedExpr):
                found.append(item.expr)
            elif isinstance(item, ir.Expression):
                found.append(item)
    return found


def _text(expr: ir.Expression) -> str:
    if isinstance(expr, ir.Path):
        return expr.name
    if isinstance(expr, ir.Member):
        return f"{_text(expr.expr)}.{expr.name}"
    if isinstance(expr, ir.Index):
        return f"{_text(expr.expr)}[...]"
    return "this"
