"""What proves a store, and fakes for tests: shipped, so that you can use them too."""

from typing import Any

__all__ = ["StoreContract"]


def __getattr__(name: str) -> Any:
    # The contract needs pytest and hypothesis, the fakes beside it do not.
    if name == "StoreContract":
        from .store_contract import StoreContract

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
