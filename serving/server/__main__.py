"""``python -m serving.server``: see :mod:`serving.server.flags` for the flags."""

from __future__ import annotations

from serving.server.flags import parse_options
from serving.server.launch import launch

__all__ = ["main", "parse_options"]


def main() -> int:
    """Run the server."""
    return launch(parse_options())


if __name__ == "__main__":
    raise SystemExit(main())
