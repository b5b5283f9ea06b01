"""What several groups of commands share: options, and groups that list by default."""

from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME", help="A model as litellm names it (openai/gpt-4o-mini); offline without one."
    ),
]


class ListedByDefault(typer.core.TyperGroup):
    """A group whose `list` may be left out: `ltm jobs` is `ltm jobs list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` first where no command stands."""
        leave = args and (not args[0].startswith("-") or args[0] == "--help")
        return super().parse_args(ctx, args if leave else ["list", *args])
