"""Digests: their configuration, their lists and acknowledgements (spec, "DigestEntry")."""

from __future__ import annotations

import time
from collections.abc import Iterator

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundDigest
from p4native.p4runtime.entities.cells import find_array
from p4native.p4runtime.entities.updates import known_type
from p4native.p4runtime.errors import already_exists, invalid_argument, not_found
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import Digest
from p4native.switch.draft import Draft


def write(draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.DigestEntry) -> None:
    """Enable (INSERT), reconfigure (MODIFY) or disable (DELETE) a digest."""
    digest = find_array("digest", loaded.binding.digests, message.digest_id)
    name = digest.info.name
    known_type(f"digest {name}", kind)
    before = loaded.digest_configs.get(digest.info.id)
    if kind == p4r.Update.INSERT and before is not None:
        raise already_exists(f"digest {name} is enabled already; MODIFY it")
    if kind != p4r.Update.INSERT and before is None:
        raise not_found(f"digest {name} is not enabled; INSERT it first")
    if kind == p4r.Update.DELETE:
        configure(draft, loaded, digest, None)
    else:
        _check(name, message.config)
        configure(draft, loaded, digest, message)


def read(loaded: LoadedPipeline, message: p4r.DigestEntry) -> Iterator[p4r.Entity]:
    """Yield the configuration of one enabled digest, or of all of them for id 0."""
    if message.digest_id:
        find_array("digest", loaded.binding.digests, message.digest_id)
    for digest_id in sorted(loaded.digest_configs):
        if message.digest_id in (0, digest_id):
            yield p4r.Entity(digest_entry=loaded.digest_configs[digest_id])


def acknowledge(loaded: LoadedPipeline, ack: p4r.DigestListAck) -> None:
    """Forget the records of a list, so that they are reported when they occur again."""
    digest = find_array("digest", loaded.binding.digests, ack.digest_id)
    loaded.state.ack_digest(digest.index, ack.list_id)


def notification(loaded: LoadedPipeline, digest: Digest) -> p4r.DigestList | None:
    """Return the message for a digest list of the engine; None if the P4Info has no such digest."""
    bound = loaded.binding.digests_by_index.get(digest.learn_list)
    if bound is None:
        return None
    return p4r.DigestList(
        digest_id=bound.info.id,
        list_id=digest.list_id,
        data=[bound.codec.decode(record) for record in digest.records],
        timestamp=time.time_ns(),
    )


def configure(
    draft: Draft, loaded: LoadedPipeline, digest: BoundDigest, message: p4r.DigestEntry | None
) -> None:
    """Apply a configuration, or disable the digest for None."""
    if message is None:
        loaded.state.disable_digest(digest.index, draft)
        draft.drop(loaded.digest_configs, digest.info.id)
        return
    loaded.state.configure_digest(
        digest.index,
        max_records=message.config.max_list_size,
        max_timeout_ns=message.config.max_timeout_ns,
        ack_timeout_ns=message.config.ack_timeout_ns,
        draft=draft,
    )
    stored = p4r.DigestEntry()
    stored.CopyFrom(message)
    draft.put(loaded.digest_configs, digest.info.id, stored)


def _check(name: str, config: p4r.DigestEntry.Config) -> None:
    values = (config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns)
    if min(values) < 0:
        raise invalid_argument(f"digest {name}: {values} may not be negative")
