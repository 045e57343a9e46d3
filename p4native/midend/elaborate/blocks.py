"""Instances of controls, parsers and extern objects; applying controls; constant key sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import BitsType, Type, underlying
from p4native.frontend.visitor import walk
from p4native.midend import core, fold
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.values import CopiedIn, EnumConst, Packet, Text, Value, Void
from p4native.midend.elaborate.work import Work

Argument = tuple[ir.Param, Value]
_WITHOUT_TABLES = ("verify", "compute", "deparser")
"""Only tables hold on to arguments, from one apply to the next: here each has its own."""


@dataclass(slots=True, eq=False)
class BlockInstance:
    """An instance of a control or parser declaration."""

    decl: ir.ControlDecl | ir.ParserDecl
    frame: Frame
    shared: bool  # applied at more than one place: its parameters need storage of their own
    applied: bool = False
    bound: dict[ir.Call, list[Argument]] = field(default_factory=dict)
    parameters: dict[ir.Param, Value] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Digest:
    """A `digest` call as P4Info sees it."""

    name: str
    type: Type | None
    loc: Loc
    block: str


class Blocks:
    """Keeps instances and knows which frame declares what."""

    def __init__(self, work: Work, program: ir.Program) -> None:
        self.work = work
        self._sites = _site_counts(program)
        self.root = Frame(None, "")
        self.digests: list[Digest] = []
        self._anonymous: dict[tuple[Frame, ir.Call], BlockInstance] = {}

    # --- who declares what ---

    def owner(self, frame: Frame, decl: ir.Decl) -> Frame | None:
        """The instance frame that a local action or table belongs to, None for global actions."""
        current: Frame | None = frame
        while current is not None:
            if decl in current.values:
                return current
            current = current.parent
        return None

    def global_object(self, frame: Frame, decl: ir.Decl, loc: Loc) -> Value:
        """A declaration of the whole program used by name."""
        if isinstance(decl, ir.InstanceDecl):
            return self.instance(self.root, decl)
        raise Unsupported(f"'{decl.name}' cannot be used here", loc)

    def saw_digest(self, name: str, t: Type | None, loc: Loc) -> None:
        """Note a digest for P4Info."""
        self.digests.append(Digest(name, t, loc, self.work.block))

    # --- making instances ---

    def instance(self, frame: Frame, decl: ir.InstanceDecl) -> Value:
        """The object a declaration makes; the same one each time it is asked for."""
        found = frame.values.get(decl)
        if found is not None:
            return found
        target = decl.call.target
        made: Value
        if isinstance(target, (ir.ControlDecl, ir.ParserDecl)):
            shared = self._sites.get(decl, 0) > 1
            name = frame.named(decl.external_name)
            made = self.block_instance(frame, decl.call, name, shared)
        else:
            name = frame.named(decl.external_name)
            made = self.extern_object(frame, decl.call, name, decl.annotations, decl.loc)
            if frame is self.root and isinstance(made, core.Instance):
                made.block = ""
                self.work.program.instances.append(made)
        frame.values[decl] = made
        return made

    def block_instance(
        self, frame: Frame, call: ir.ConstructorCall, name: str, shared: bool
    ) -> BlockInstance:
        """A new instance of the control or parser that `call` constructs."""
        decl = call.target
        assert isinstance(decl, (ir.ControlDecl, ir.ParserDecl))
        self.work.inlining(call.loc, weight=5)
        types = {p: frame.type(t) for p, t in call.type_args.items()}
        inner = Frame(None, name, types)
        for a in call.args:
            assert a.param is not None
            value = self.work.exprs.value(frame, a.expr)
            inner.values[a.param] = self.work.exprs.converted(value, frame.type(a.param.type))
        made = BlockInstance(decl, inner, shared)
        self._locals(made)
        return made

    def _locals(self, made: BlockInstance) -> None:
        frame = made.frame
        for local in made.decl.locals:
            if isinstance(local, (ir.ActionDecl, ir.TableDecl)):
                frame.values[local] = local
            elif isinstance(local, ir.VarDecl):
                frame.values[local] = self.work.storage.make(
                    frame.type(local.type), self.local_name(frame, local), "local", local.loc
                )
            elif isinstance(local, ir.InstanceDecl):
                self.instance(frame, local)
            elif isinstance(local, ir.ValueSetDecl):
                self._value_set(frame, local)

    @staticmethod
    def local_name(frame: Frame, local: ir.Decl) -> str:
        """A variable's name: without the top block's, which fields of `scalars` need not repeat."""
        _, _, inner = frame.named(local.name).partition(".")
        return inner or local.name

    def _value_set(self, frame: Frame, local: ir.ValueSetDecl) -> None:
        size = self.work.exprs.size(frame, local.size, "a value set's size")
        element = getattr(local.type, "element", local.type)
        made = core.ValueSet(
            frame.named(local.external_name),
            frame.type(element),
            size,
            local.loc,
            local.annotations,
        )
        frame.values[local] = made
        self.work.program.parser.value_sets.append(made)

    def extern_object(
        self,
        frame: Frame,
        call: ir.ConstructorCall,
        name: str,
        annotations: list[ir.Annotation],
        loc: Loc,
    ) -> core.Instance:
        """A new extern object with compile-time constructor arguments."""
        decl = call.target
        if not isinstance(decl, ir.ExternDecl):
            raise Unsupported("only parsers, controls and extern objects can be constructed", loc)
        declared = tuple(frame.type(t) for t in call.type_args.values())
        if decl.name == "register" and not isinstance(underlying(declared[0]), BitsType):
            raise Unsupported("only registers of bit or int are supported on this target", loc)
        args: dict[str, Any] = {}
        for a in call.args:
            assert a.param is not None
            if a.param.name == "size":
                self.work.exprs.size(frame, a.expr, f"the size of a {decl.name}")
            args[a.param.name] = self._constructor_arg(frame, a)
        return core.Instance(
            decl.name,
            name.lstrip("."),
            declared,
            args,
            loc,
            annotations,
            block=self.work.block,
        )

    def _constructor_arg(self, frame: Frame, a: ir.Argument) -> Any:
        value = self.work.exprs.value(frame, a.expr)
        if isinstance(value, EnumConst):
            return value.member.name
        if isinstance(value, core.Const):
            return value.value
        if isinstance(value, Text):
            return value.text
        raise Unsupported(
            "a constructor's argument must be a compile-time constant", a.loc, "expected"
        )

    def anonymous(self, frame: Frame) -> list[BlockInstance]:
        """The instances made by `C.apply()` in an instance."""
        return [b for (owner, _), b in self._anonymous.items() if owner is frame]

    # --- applying controls ---

    def receiver(self, frame: Frame, e: ir.Call) -> BlockInstance:
        """The instance a parser's or control's `apply` is called on."""
        target = e.target
        receiver = e.receiver
        named = receiver.decl if isinstance(receiver, ir.Path) else None
        if isinstance(receiver, ir.TypeName) or isinstance(named, (ir.ControlDecl, ir.ParserDecl)):
            assert isinstance(target, (ir.ControlDecl, ir.ParserDecl))
            return self._anonymous_instance(frame, target, e)
        assert receiver is not None
        found = self.work.exprs.value(frame, receiver)
        if not isinstance(found, BlockInstance):
            raise Unsupported("apply() needs an instance of a parser or control", e.loc)
        return found

    def _anonymous_instance(
        self, frame: Frame, decl: ir.ControlDecl | ir.ParserDecl, e: ir.Call
    ) -> BlockInstance:
        """`C.apply(...)` on a type: an instance of its own, named like the type."""
        owner = frame
        while owner.parent is not None:
            owner = owner.parent
        found = self._anonymous.get((owner, e))
        if found is None:
            call = ir.ConstructorCall(
                ir.NamedTypeRef(decl.name, loc=e.loc),
                target=decl,
                type_args={p: frame.type(t) for p, t in e.type_args.items()},
                loc=e.loc,
            )
            found = self.block_instance(owner, call, owner.named(decl.external_name), False)
            self._anonymous[(owner, e)] = found
        return found

    def bind_apply(
        self, frame: Frame, instance: BlockInstance, e: ir.Call
    ) -> list[tuple[Value, Value]]:
        """Bind the arguments of an `apply`; returns the copies to make behind it."""
        args = self._own_parameters(instance, e, self.work.calls.evaluate_args(frame, e.args))
        if self.work.block in _WITHOUT_TABLES:
            return self.work.calls.bind(instance.frame, args, e.loc, copy=False)
        if instance.shared:
            return self._bind_shared(instance, args, e.loc)
        if not _same_args(instance.bound.setdefault(e, args), args):
            raise Unsupported("this apply is reached with different arguments", e.loc)
        parser = isinstance(instance.decl, ir.ParserDecl)
        return self.work.calls.bind(instance.frame, args, e.loc, copy=False, may_not_return=parser)

    @staticmethod
    def _own_parameters(
        instance: BlockInstance, e: ir.Call, args: list[Argument]
    ) -> list[Argument]:
        """Arguments of a call through a control *type*, by the instance's own parameters."""
        if e.target is instance.decl:
            return args
        declared = getattr(e.target, "params", [])
        own = dict(zip(declared, instance.decl.params, strict=True))
        return [(own[param], value) for param, value in args]

    def _bind_shared(
        self, instance: BlockInstance, args: list[Argument], loc: Loc
    ) -> list[tuple[Value, Value]]:
        """Copy arguments into the instance's own parameter storage."""
        after: list[tuple[Value, Value]] = []
        frame = instance.frame
        for param, value in args:
            if isinstance(value, (Packet, core.Instance, BlockInstance, Text)):
                frame.values[param] = value
                continue
            storage = instance.parameters.get(param)
            if storage is None:
                storage = self.work.storage.make(
                    frame.type(param.type), self.local_name(frame, param), "local", param.loc
                )
                instance.parameters[param] = storage
                frame.values[param] = storage
            target = initial = value
            if isinstance(value, CopiedIn):
                target, initial = value.target, value.copy
            if param.direction == "out":
                self.work.assigns.invalidate(storage, loc)
            else:
                self.work.assigns.assign(storage, initial, loc)
            if param.direction in ("out", "inout"):
                after.append((target, storage))
        return after

    def apply_control(self, frame: Frame, e: ir.Call) -> Value:
        """Emit the body of a control where it is applied."""
        instance = self.receiver(frame, e)
        if not isinstance(instance.decl, ir.ControlDecl):
            raise Unsupported("a parser cannot be applied in a control", e.loc)
        after = self.bind_apply(frame, instance, e)
        self.work.pending.append(after)
        self.work.varying.append(instance.shared and bool(after))
        self.control_body(instance, e.loc)
        self.work.varying.pop()
        self.work.pending.pop()
        self.work.calls.copy_back(after, e.loc)
        return Void()

    def control_body(self, instance: BlockInstance, loc: Loc) -> None:
        """Emit a control's local initializers and its apply block."""
        decl, frame = instance.decl, instance.frame
        assert isinstance(decl, ir.ControlDecl)
        instance.applied = True
        block = core.Block(frame.prefix, [], loc)
        outer, frame.block = frame.block, block

        def build() -> None:
            self.initialize_locals(instance)
            self.work.stmts.block(frame, decl.body)

        block.body = self.work.collect(build)
        frame.block = outer
        self.work.emit(block)

    def initialize_locals(self, instance: BlockInstance) -> None:
        """Emit what the declarations of an instance's variables say."""
        for local in instance.decl.locals:
            if isinstance(local, ir.VarDecl):
                storage = instance.frame.values[local]
                self.work.stmts.initialize(instance.frame, local, storage)

    # --- constant sets ---

    def key_value(self, frame: Frame, e: ir.Expression, t: core.Scalar) -> core.KeyValue:
        """A keyset expression over a scalar of type `t`."""
        number = self.work.exprs.number
        if isinstance(e, ir.DontCare):
            return core.KeyValue(any=True)
        if isinstance(e, ir.Mask):
            value = number(frame, e.left, "a key's value")
            mask = number(frame, e.right, "a key's mask")
            return core.KeyValue(_unsigned(value, t), mask=_unsigned(mask, t))
        if isinstance(e, ir.Range):
            low = number(frame, e.left, "a range's bound")
            high = number(frame, e.right, "a range's bound")
            return core.KeyValue(_unsigned(low, t), high=_unsigned(high, t))
        if isinstance(e, ir.ListExpr) and len(e.items) == 1:
            return self.key_value(frame, e.items[0], t)
        return core.KeyValue(_unsigned(number(frame, e, "a key"), t))


def _unsigned(value: int, t: core.Scalar) -> int:
    """The bit pattern of a key in its type."""
    return fold.wrap(value, t) & ((1 << core.scalar_width(t)) - 1)


def _same_args(a: list[Argument], b: list[Argument]) -> bool:
    return len(a) == len(b) and all(x is y or _alike(x[1], y[1]) for x, y in zip(a, b, strict=True))


def _alike(a: Value, b: Value) -> bool:
    if a is b:
        return True
    if isinstance(a, CopiedIn) and isinstance(b, CopiedIn):
        return _alike(a.target, b.target)
    if isinstance(a, core.Const) and isinstance(b, core.Const):
        return a.value == b.value
    if isinstance(a, core.VarRef) and isinstance(b, core.VarRef):
        return a.var is b.var
    if isinstance(a, core.Field) and isinstance(b, core.Field):
        return a.header is b.header and a.name == b.name
    return False


def _site_counts(program: ir.Program) -> dict[ir.Decl, int]:
    """How many `apply` calls name each instance, anywhere in the program."""
    counts: dict[ir.Decl, int] = {}
    kinds = (ir.CallKind.CONTROL_APPLY, ir.CallKind.PARSER_APPLY)
    for node in walk(program):
        if isinstance(node, ir.Call) and node.kind in kinds:
            receiver = node.receiver
            if isinstance(receiver, ir.Path) and receiver.decl is not None:
                counts[receiver.decl] = counts.get(receiver.decl, 0) + 1
    return counts
