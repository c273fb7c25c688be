"""Clients that are awaited, called as those that block, so that a test asks both alike."""

from __future__ import annotations

import asyncio
from typing import Any


class Awaited:
    """An async client in an event loop of its own."""

    def __init__(self, kind: Any, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = kind(*arguments, **options)

    def __enter__(self) -> Awaited:
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self._runner.run(self._client.__aexit__(*error))
        self._runner.close()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self._runner.run(getattr(self._client, name)(*arguments, **options))
