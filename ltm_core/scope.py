"""Whose memory it is: scopes, and the identity of who is talking."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import ClassVar

from .errors import ScopeError

DEFAULT_TENANT = "default"
MAX_ID_BYTES = 512


class MemoryScope(StrEnum):
    """The level that owns a memory.

    USER outlives sessions, SESSION ends with the conversation, AGENT is shared by all users of one agent, GLOBAL by
    everybody of one tenant.
    """

    USER = "user"
    SESSION = "session"
    AGENT = "agent"
    GLOBAL = "global"


def digest(*parts: str) -> str:
    """Hash `parts` to 32 hex digits. Each part is length-prefixed, so no two lists of parts look alike."""
    raws = [part.encode("utf-8") for part in parts]
    framed = b"".join([piece for raw in raws for piece in (len(raw).to_bytes(8, "big"), raw)])
    return blake2b(framed, digest_size=16).hexdigest()


def check_id(value: object, what: str) -> str:
    """Return `value` if it can be an id, or raise `ScopeError`. Ids are opaque: no character is a wildcard."""
    if value is None:
        raise ScopeError(f"{what} is missing. Pass a {what}: None never means 'everybody'.")
    if not isinstance(value, str):
        raise ScopeError(f"{what} must be a str, got {type(value).__name__}. Pass str({what}).")
    if not value.strip():
        raise ScopeError(f"{what} is empty. Pass the id of one person, session or agent.")
    if "\0" in value:
        raise ScopeError(f"{what} contains a NUL character. Remove it.")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise ScopeError(f"{what} contains half a surrogate pair. Pass valid Unicode text.") from None
    if size > MAX_ID_BYTES:
        raise ScopeError(f"{what} has {size} bytes, more than {MAX_ID_BYTES}. Pass a shorter id or a hash of it.")
    return value


@dataclass(frozen=True, slots=True)
class Scope:
    """One owner of memory: a level, an id and a tenant.

    >>> Scope.user("42").name
    'user:42'
    >>> Scope.user("42").token == Scope.session("42").token
    False
    """

    level: MemoryScope
    id: str = ""
    tenant: str = DEFAULT_TENANT
    token: str = field(init=False, compare=False, repr=False)

    GLOBAL: ClassVar[Scope]

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", MemoryScope(self.level))
        check_id(self.tenant, "tenant")
        if self.level is MemoryScope.GLOBAL:
            if self.id:
                raise ScopeError("The GLOBAL scope has no id. Leave scope_id out.")
        else:
            check_id(self.id, f"{self.level}_id")
        object.__setattr__(self, "token", digest(self.tenant, self.level.value, self.id))

    @classmethod
    def user(cls, user_id: str, tenant: str = DEFAULT_TENANT) -> Scope:
        """The memory of one person, across sessions."""
        return cls(MemoryScope.USER, user_id, tenant)

    @classmethod
    def session(cls, session_id: str, tenant: str = DEFAULT_TENANT) -> Scope:
        """The memory of one conversation."""
        return cls(MemoryScope.SESSION, session_id, tenant)

    @classmethod
    def agent(cls, agent_id: str, tenant: str = DEFAULT_TENANT) -> Scope:
        """The memory of one agent, shared by all who talk to it."""
        return cls(MemoryScope.AGENT, agent_id, tenant)

    @classmethod
    def everybody(cls, tenant: str = DEFAULT_TENANT) -> Scope:
        """The memory that everybody of one tenant shares; `Scope.GLOBAL` is that of the default tenant."""
        return cls(MemoryScope.GLOBAL, "", tenant)

    @classmethod
    def parse(cls, name: str, tenant: str) -> Scope:
        """Read back what `name` gave."""
        level, _, scope_id = name.partition(":")
        return cls(MemoryScope(level), scope_id, tenant)

    @property
    def name(self) -> str:
        """Level and id in one readable word; the id may itself hold colons."""
        return f"{self.level}:{self.id}"


Scope.GLOBAL = Scope(MemoryScope.GLOBAL)


@lru_cache(maxsize=4096)
def scope_of(level: MemoryScope | str, scope_id: str, tenant: str) -> Scope:
    """The scope that these three name, the same object for the same names: most calls ask for few scopes, often."""
    return Scope(MemoryScope(level), scope_id, tenant)


@lru_cache(maxsize=4096)
def scope_named(name: str, tenant: str) -> Scope:
    """The scope that `Scope.name` names."""
    return Scope.parse(name, tenant)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is talking, and therefore which memories may be seen.

    >>> [scope.name for scope in Identity(user_id="42", session_id="s").scopes]
    ['session:s', 'user:42', 'global:']
    """

    user_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    tenant: str = DEFAULT_TENANT

    def __post_init__(self) -> None:
        for what in ("user_id", "session_id", "agent_id"):
            if getattr(self, what) is not None:
                check_id(getattr(self, what), what)
        check_id(self.tenant, "tenant")

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that this identity may see, the most specific first: SESSION, USER, AGENT, GLOBAL."""
        named = (
            (MemoryScope.SESSION, self.session_id),
            (MemoryScope.USER, self.user_id),
            (MemoryScope.AGENT, self.agent_id),
        )
        seen = tuple(scope_of(level, scope_id, self.tenant) for level, scope_id in named if scope_id is not None)
        return (*seen, scope_of(MemoryScope.GLOBAL, "", self.tenant))

    @property
    def subject(self) -> Scope:
        """The person that is talked with or, where nobody is known, the session: owner of what is learned here."""
        if self.user_id is not None:
            return scope_of(MemoryScope.USER, self.user_id, self.tenant)
        if self.session_id is not None:
            return scope_of(MemoryScope.SESSION, self.session_id, self.tenant)
        raise ScopeError("Nobody is named. Pass user_id= (or session_id= for an anonymous conversation).")

    def scope(self, level: MemoryScope) -> Scope:
        """The scope of `level` that this identity may see, or `ScopeError` if it has no id for it."""
        for scope in self.scopes:
            if scope.level is level:
                return scope
        raise ScopeError(f"No {level}_id is known here. Pass {level}_id=.")
