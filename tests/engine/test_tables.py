"""Every kind of table against the naive model, over random sequences of updates."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p4native.switch.records import Mode, Op, Status
from tests.engine.support import EXACT, LPM, OPTIONAL, RANGE, TERNARY, Field, Model, Rule, Table

OPS = (Op.INSERT, Op.INSERT, Op.INSERT, Op.MODIFY, Op.DELETE)


def random_rule(rng: random.Random, fields: list[Field], narrow: bool) -> Rule:
    """Narrow rules collide often; wide ones use all bits."""
    first, second = [], []
    for f in fields:
        top = (1 << f.width) - 1
        value = rng.getrandbits(f.width) & (top if not narrow else 3 | 1 << (f.width - 1))
        value &= top
        if f.match == EXACT:
            second.append(top)
        elif f.match == LPM:
            second.append(rng.choice([0, 1, f.width, rng.randint(0, f.width)]))
        elif f.match == RANGE:
            other = rng.getrandbits(f.width) & top
            bounds = rng.choice([(0, top), (value, value), tuple(sorted((value, other)))])
            value = bounds[0]
            second.append(bounds[1])
        elif f.match == OPTIONAL:
            second.append(rng.choice([0, top]))
        else:
            second.append(rng.choice([0, top, rng.getrandbits(f.width)]))
        first.append(value)
    masked = any(f.match in (TERNARY, RANGE, OPTIONAL) for f in fields)
    return Rule(tuple(first), tuple(second), rng.randint(1, 3) if masked else 0)


def random_key(rng: random.Random, model: Model) -> tuple[int, ...]:
    """Half of the keys hit some rule, or miss it narrowly."""
    fields = model.fields
    key = [rng.getrandbits(f.width) for f in fields]
    if model.rules and rng.random() < 0.8:
        rule = rng.choice(list(model.rules))
        for i, f in enumerate(fields):
            if f.match == RANGE:
                key[i] = rng.choice([rule.first[i], rule.second[i]])
            elif f.match == LPM:
                low = f.width - rule.second[i]
                key[i] = rule.first[i] >> low << low | key[i] & ((1 << low) - 1)
            elif f.match == EXACT:
                key[i] = rule.first[i]
            else:
                key[i] = rule.first[i] | key[i] & ~rule.second[i] & ((1 << f.width) - 1)
            if rng.random() < 0.05:
                key[i] ^= 1 << rng.randrange(f.width)
    return tuple(key)


def check(fields: list[Field], seed: int, steps: int, size: int, narrow: bool) -> None:
    rng = random.Random(seed)
    model = Model(fields, size)
    with Table(fields, size) as table:
        for _ in range(steps):
            batch = []
            for _ in range(rng.choice([1, 1, 5, 40])):
                op = rng.choice(OPS)
                if op is not Op.INSERT and model.rules and rng.random() < 0.8:
                    rule = rng.choice(list(model.rules))
                else:
                    rule = random_rule(rng, fields, narrow)
                batch.append((op, rule, rng.getrandbits(60)))
            got = table.write([table.record(*item) for item in batch])
            assert got == [model.apply(*item) for item in batch]
            keys = [random_key(rng, model) for _ in range(30)]
            assert table.lookup(keys) == [model.lookup(k) for k in keys]
        assert table.read() == dict(model.rules.values())
        assert table.count() == len(model.rules)


LAYOUTS = {
    "exact-48": [Field(48, EXACT)],
    "exact-several": [Field(9, EXACT), Field(1, EXACT), Field(128, EXACT), Field(16, EXACT)],
    "exact-2048": [Field(2048, EXACT)],
    "lpm-32": [Field(32, LPM)],
    "lpm-128": [Field(128, LPM)],
    "lpm-13": [Field(13, LPM)],
    "lpm-with-exact": [Field(24, EXACT), Field(32, LPM), Field(9, EXACT)],
    "ternary-5-tuple": [Field(w, TERNARY) for w in (32, 32, 8, 16, 16)],
    "ternary-mixed": [Field(9, EXACT), Field(32, LPM), Field(13, TERNARY), Field(8, OPTIONAL)],
    "ternary-wide": [Field(515, TERNARY)],
    "optional": [Field(48, OPTIONAL), Field(1, OPTIONAL)],
    "range": [Field(16, RANGE), Field(16, RANGE)],
    "range-odd": [Field(3, RANGE), Field(21, RANGE), Field(128, TERNARY), Field(64, RANGE)],
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("narrow", [True, False])
def test_sequences(name: str, narrow: bool) -> None:
    for seed in range(3):
        check(LAYOUTS[name], seed, steps=25, size=300, narrow=narrow)


def test_many_ternary_rules_use_several_blocks() -> None:
    check(LAYOUTS["ternary-5-tuple"], 7, steps=120, size=3000, narrow=False)


FIELD = st.builds(Field, st.integers(1, 140), st.sampled_from([EXACT, TERNARY, RANGE, OPTIONAL]))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FIELD, min_size=1, max_size=5), st.integers(0, 1 << 30), st.booleans())
def test_any_key(fields: list[Field], seed: int, narrow: bool) -> None:
    check(fields, seed, steps=6, size=100, narrow=narrow)


@pytest.mark.parametrize("name", ["exact-48", "lpm-with-exact", "ternary-5-tuple", "range"])
@pytest.mark.parametrize("mode", [Mode.ROLLBACK, Mode.ATOMIC])
def test_failed_batch_leaves_nothing(name: str, mode: Mode) -> None:
    fields, rng = LAYOUTS[name], random.Random(5)
    model = Model(fields, 200)
    with Table(fields, 200) as table:
        for _ in range(60):
            batch = []
            trial = Model(fields, 200)
            trial.rules = dict(model.rules)
            for _ in range(rng.randint(1, 12)):
                op = rng.choice(OPS)
                known = list(trial.rules)
                rule = (
                    rng.choice(known)
                    if op is not Op.INSERT and known
                    else random_rule(rng, fields, False)
                )
                item = (op, rule, rng.getrandbits(60))
                batch.append(item)
                if trial.apply(*item) is not Status.OK:
                    break
            else:
                model.rules = trial.rules
                expected = [Status.OK] * len(batch)
                assert table.write([table.record(*i) for i in batch], mode) == expected
                continue
            extra = (Op.INSERT, random_rule(rng, fields, False), 1)
            got = table.write([table.record(*i) for i in [*batch, extra]], mode)
            assert got.count(Status.ABORTED) == len(got) - 1
            assert table.read() == dict(model.rules.values())
            keys = [random_key(rng, model) for _ in range(20)]
            assert table.lookup(keys) == [model.lookup(k) for k in keys]


def test_size_is_enforced() -> None:
    with Table([Field(32, EXACT)], size=10) as table:
        records = [table.record(Op.INSERT, Rule((i,), (0,))) for i in range(11)]
        assert table.write(records) == [Status.OK] * 10 + [Status.FULL]
        assert table.write([table.record(Op.DELETE, Rule((3,), (0,)))]) == [Status.OK]
        statuses, handles = table.write_raw([records[10]])
        assert (statuses, handles) == ([Status.OK], [3])


def test_malformed_records_are_refused() -> None:
    rng = random.Random(1)
    with Table(LAYOUTS["ternary-5-tuple"]) as table:
        good = table.record(Op.INSERT, random_rule(rng, LAYOUTS["ternary-5-tuple"], False))
        for _ in range(2000):
            bad = bytearray(good)
            for _ in range(rng.randint(1, 4)):
                bad[rng.randrange(36)] = rng.getrandbits(8)
            table.write([bytes(bad[: rng.choice([len(bad), rng.randrange(len(bad))])])])
        assert table.count() == len(table.read())
