"""Pages of the commands, made from the parsers that read their words whenever the site is built.

A hook of mkdocs (https://www.mkdocs.org/user-guide/configuration/#hooks), so that no page can be
out of date.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from cryo_pick.command import CONFIG, Command, parser_of

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PROGRAMS = ("cryo-pick", "detector", "refiner")
INDEX = "commands/index.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages where the navigation names their index."""
    names = list(pages())
    for entry in config.nav or []:
        if isinstance(entry, dict) and INDEX in entry.values():
            (heading,) = entry
            entry[heading] = names
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those that lie in docs/."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Text of each page by its name, the index first."""
    texts: dict[str, str] = {INDEX: ""}
    rows = []
    for program in PROGRAMS:
        for command in import_module(program.replace("-", "_") + ".cli").COMMANDS:
            name = f"{program}-{command.name}.md"
            texts[f"commands/{name}"] = page(program, command)
            rows.append(f"| [`{program} {command.name}`]({name}) | {command.help} |")
    shared = "Every command takes `--help`, `-v` (more; `-vv`: tracebacks) and `-q` (less)."
    texts[INDEX] = "\n".join(
        ["# Commands", "", shared, "", "| command | what it does |", "|---|---|", *rows, ""]
    )
    return texts


def page(program: str, command: Command) -> str:
    """Usage, an example, and a table of paths and flags."""
    parser = parser_of(program, command)
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    lines = [f"# {program} {command.name}", "", f"{command.help[0].upper()}{command.help[1:]}.", ""]
    if command.example:
        lines += ["```bash", f"{program} {command.example}", "```", ""]
    lines += ["| word | meaning |", "|---|---|", *map(row, parser._actions), ""]
    lines += ["```text", usage, "```", ""]
    if command.configured:
        lines += ["`key=value` words change a setting of the config; `--cfg` prints them all.", ""]
    return "\n".join(lines)


def row(action: argparse.Action) -> str:
    """One line of the table."""
    value = "" if action.nargs == 0 else action.metavar or ""
    if isinstance(value, tuple):
        value = " ".join(value)
    if not value and action.choices:
        value = " or ".join(map(str, action.choices))
    if not value and action.nargs != 0:
        value = action.dest.removeprefix(CONFIG).upper()
    words = ", ".join(f"`{f'{o} {value}'.strip()}`" for o in action.option_strings)
    meaning = (action.help or "").replace("|", "\\|").replace("<", "&lt;")
    return f"| {words or f'`{value}`'} | {meaning} |"
