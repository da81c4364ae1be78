"""Draws docs/images/cli-status.svg: a Canary as `modelvane status` shows it (`make pictures`).

The status is one that the operator's own code writes, so the picture cannot show what does not exist. `--check`
compares instead of writing.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from modelvane_cli import tree
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.cli.scenes import canary, event, seen
from tests.unit.operator.builder import NOW

PICTURE = Path(__file__).parent / "cli-status.svg"
WIDTH = 112
# Without rich's fonts from the network: a page that shows a picture loads nothing else.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: DejaVu Sans Mono, Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
<rect fill="#1e1e1e" width="{width}" height="{height}" rx="8"/>
<g transform="translate(16, 16)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def draw() -> str:
    """Return the picture."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    story = (
        event(414, "VersionResolved", "serving version 3, models:/iris/Production is version 4"),
        event(412, "RolloutStarted", "serving version 3, rolling out version 4"),
        event(409, "CandidateReady", "version 4 is verified: its first pod is ready"),
    )
    console.print(Text.assemble(("$ ", "bright_black"), "modelvane status iris --watch"))
    console.print(tree.draw(seen(canary(), *story), NOW), highlight=False)
    drawn = console.export_svg(title="modelvane status", theme=MONOKAI, code_format=FORMAT, unique_id="cli-status")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def main() -> int:
    """Write the picture, or say whether it is up to date."""
    drawn = draw()
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(drawn)
        return 0
    if PICTURE.read_text() == drawn:
        return 0
    print(f"{PICTURE.name} is not what `modelvane status` shows; run: make pictures", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
