"""Whether everything in Redis that can be derived from its records is as the records say."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster

from ltm_core.stores.base import Record
from ltm_core.stores.kinds import KINDS
from ltm_core.stores.redis.content import record_of
from ltm_core.stores.redis.layout import INDEXES, Keys, claim, descending, score, value_hash, walls

Sets = dict[str, dict[str, float]]


def check(url: str, prefix: str) -> list[Record]:
    """Assert that sorted sets, counts and directories fit the records; returns these."""
    with _client(url) as client:
        found = {key.decode(): _read(client, key) for key in client.scan_iter(f"{prefix}:*", count=1000)}
    keys, records = Keys(prefix), list(_records(found))
    assert _indexes(found) == _wanted(keys, records)
    assert not [key for key in found if key.endswith(":held")], "a batch was left prepared"
    _check_counts(keys, found, records)
    _check_directories(keys, found, records)
    return records


def _client(url: str) -> Any:
    if "+cluster" in url:
        return RedisCluster.from_url(url.replace("+cluster", ""))
    return Redis.from_url(url)


def _read(client: Any, key: bytes) -> Any:
    match client.type(key):
        case b"hash":
            return client.hgetall(key)
        case b"zset":
            return {member.decode(): at for member, at in client.zrange(key, 0, -1, withscores=True)}
        case b"set":
            return {member.decode() for member in client.smembers(key)}
    return client.get(key)


def _records(found: dict[str, Any]) -> Iterator[Record]:
    for key, stored in found.items():
        tail = key.partition("}:")[2]
        if tail.startswith("r:"):
            for one, text in stored.items():
                record = record_of(tail[2:], one, text)
                assert f"{{{record.subject.token}}}" in key
                yield record


def _indexes(found: dict[str, Any]) -> Sets:
    return {key: value for key, value in found.items() if key.partition("}:")[2].startswith(("i:", "e:", "t:", "due:"))}


def _wanted(keys: Keys, records: list[Record]) -> Sets:
    wanted: Sets = defaultdict(dict)
    for record in records:
        for key, at in _places(keys, record):
            wanted[key][record.id] = float(at)
    return dict(wanted)


def _places(keys: Keys, record: Record) -> Iterator[tuple[str, str]]:
    kind, subject, index = record.kind, record.subject.token, INDEXES[record.kind]
    first = descending(record.get(index.order[0]))
    for wall in walls(record):
        for column in index.order:
            yield keys.ordered(subject, kind, column, wall), descending(record.get(column))
        for column in index.equal:
            hashed = value_hash(record.get(column))
            if hashed:
                yield keys.valued(subject, kind, column, hashed, wall), first
        for term in record.terms:
            yield keys.worded(subject, kind, term, wall), "1"
    due = KINDS[kind].due
    if due and record.get(due) is not None:
        yield keys.due(subject, kind), score(record.get(due))


def _check_counts(keys: Keys, found: dict[str, Any], records: list[Record]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        counts[keys.about(record.subject.token)] += 1
    about = {key: value for key, value in found.items() if key.endswith("}:about")}
    assert {key: int(value[b"records"]) for key, value in about.items()} == counts
    for record in records:
        subject = record.subject
        names = json.loads(about[keys.about(subject.token)][b"names"])
        assert names == [subject.level.value, subject.id, subject.tenant]


def _check_directories(keys: Keys, found: dict[str, Any], records: list[Record]) -> None:
    places = [(record.kind, record.id) for record in records]
    assert len(set(places)) == len(places), "a record lies twice"
    for record in records:
        owner, subject, due = record.scope.token, record.subject.token, KINDS[record.kind].due
        known = found[keys.claims(record.kind, record.id)][claim(record.kind, record.id).encode()]
        assert subject in known.decode()
        assert subject in found[keys.subjects]
        assert owner == subject or subject in found[keys.inside(owner)]
        if due and record.get(due) is not None:
            assert found[keys.due_subjects(record.kind)][subject] <= float(score(record.get(due)))
