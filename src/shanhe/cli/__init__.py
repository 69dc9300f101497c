"""The command line `shanhe`: whatever an operator can do in the console, in a terminal and with `--json`.

One file a group of commands, read when one of its commands is asked for. Heavy imports happen inside the commands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from shanhe import __version__
from shanhe.cli import audit, backup, city, common
from shanhe.cli.common import guarded
from shanhe.cli.language import name_panels, speak
from shanhe.kernel.process import collect_seldom
from shanhe.settings import language

GROUPS: Final = {
    "models": ("models:app", "Local models: list the cards, fetch the bytes."),
    "prices": ("prices:app", "What models cost: look, ask the pricing rule, publish."),
    "engines": ("engines:app", "Servers that answer: the local ones and OpenAI-compatible upstreams."),
    "nodes": ("nodes:app", "Machines that others lend to this city."),
    "node": ("node:app", "Lend this machine to a city."),
    "batches": ("batches:app", "Work that may wait, at the price for that."),
    "datasets": ("datasets:app", "Data to learn from: import, clean, follow, delete."),
    "knowledge": ("knowledge:app", "Knowledge bases: fill, search, answer, evaluate."),
    "studio": ("studio:app", "From a data set to a model that answers."),
    "orgs": ("orgs:app", "Organisations."),
    "people": ("people:app", "People who sign in to the console."),
    "privacy": ("privacy:app", "People's rights: purposes, copies, refusals, requests, erasure."),
    "keys": ("keys:app", "API keys of organisations."),
    "usage": ("usage:app", "What calls used, by time, model, key and tag."),
    "credits": ("credits:app", "Balances and top-ups by the operator."),
    "payouts": ("payouts:app", "Makers' income on its way to their bank accounts."),
    "reconcile": ("reconcile:app", "Counts that should agree, and those that did not."),
    "bank": ("bank:app", "Statements of the city's bank account, and money in suspense."),
    "exchange": ("exchange:app", "The credit exchange: orders, auctions, the fund."),
    "ledger": ("ledger:app", "The double-entry ledger."),
    "vault": ("vault:app", "The keys of everybody's data: look, rotate the master key."),
    "log": ("log:app", "The transparency log: status, proofs, keys, witnesses."),
    "rules": ("rules:app", "The rulebook: every number and formula as dated data."),
    "approvals": ("approvals:app", "Approvals of authorities, the gates they open, four eyes."),
    "break-glass": ("glass:app", "In an emergency: one person does what takes two."),
    "algorithms": ("algorithms:app", "Filings of algorithms, what guardrails did, complaints."),
    "programmes": ("standing:app", "What the city promises: apply, decide, fund, follow."),
    "bulletin": ("bulletin:app", "The weekly bulletin: issues, preview, publish."),
    "alliances": ("company:alliances", "Companies that build applications together."),
    "incubator": ("company:incubator", "What the incubator offers: resources, quotas, bookings."),
    "contests": ("contests:app", "Contests of makers: calls, entries, juries, prizes."),
    "webhooks": ("webhooks:app", "Where organisations are told what happens to them."),
    "apps": ("apps:app", "Apps that people let act for them."),
    "store": ("store:app", "What makers offer: listings, reviews, ratings, income."),
    "agents": ("agents:app", "Agents: check definitions, look at runs."),
    "clones": ("clones:app", "Digital clones: consents, feedback, versions and their gates."),
    "labels": ("labels:app", "Labels of generated content: the key, and checks offline."),
    "evaluations": ("evaluations:app", "Evaluation sets of agents: set, run, excuse."),
    "workflows": ("workflows:app", "Workflows: check, publish, start, follow."),
    "starters": ("starters:app", "What agents and workflows begin with: look, copy into a draft."),
    "tools": ("tools:app", "Publishers' MCP servers: tools, secrets, calls."),
    "governance": ("governance:app", "How rules change: proposals, votes, vetoes; targets, duties."),
    "nomads": ("nomads:app", "Digital nomads: venues, presence, the ID, tickets."),
    "card": ("card:app", "Credentials: verify one offline, keys of the issuer."),
    "ip": ("ip:app", "The registry of rights: register, consent, verify, offer."),
    "science": ("science:app", "Open science: deposit, agree, publish, cite, reuse."),
    "board": ("board:app", "Needs and solutions: posts, fits, matches and their reward."),
    "content": ("content:app", "The content hub: drafts of texts, who pays, free uses."),
    "bench": ("bench:app", "Measure this machine."),
}
"""Where the commands of a group are, by the group's name, and what they are for."""


@cache
def group(name: str, language: str) -> Any:
    """A group with its commands in a language. To read the signatures of all of them takes half a second."""
    place, text = GROUPS[name]
    module, _, attribute = place.partition(":")
    above = typer.Typer(pretty_exceptions_enable=False)
    above.add_typer(getattr(import_module(f"shanhe.cli.{module}"), attribute), name=name, help=text)
    return speak(get_group(above).commands[name], language)


class Late(MutableMapping[str, Any]):
    """Commands by name: those that were read, then each group, read when it is looked at."""

    def __init__(self, read: MutableMapping[str, Any], language: str) -> None:
        self._read = read
        self._language = language

    def __getitem__(self, name: str) -> Any:
        return group(name, self._language) if name in GROUPS else self._read[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._read[name] = command

    def __delitem__(self, name: str) -> None:
        del self._read[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._read
        yield from GROUPS

    def __len__(self) -> int:
        return len(self._read) + len(GROUPS)


class Top(TyperGroup):
    """The top level, in the reader's language."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        words = language()
        self.commands = Late(speak(self, words).commands, words)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Its words are remembered on the way: they are the door by which whoever wrote them came in."""
        common.command.set(" ".join(("shanhe", *named(self, args))))
        return super().resolve_command(ctx, args)


def named(top: Any, args: list[str]) -> Iterator[str]:
    """The words that name a command, up to the first that it is told."""
    for word in args:
        if word not in getattr(top, "commands", ()):
            return
        yield word
        top = top.commands[word]


app = typer.Typer(
    name="shanhe",
    cls=Top,
    help="The software a small city runs to become an AI city: one API, one ledger, dated rules.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"shanhe {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and end.", is_eager=True, callback=say_version)
    ] = False,
) -> None:
    """What comes before a command."""


city.register(app)
app.command("audit")(audit.audit)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)


PRIVATE: Final = 0o077
"""What a command writes is its owner's alone: copies of people's data, cards, statements, codes."""


def main() -> None:
    """Entry point of the command `shanhe`."""
    os.umask(PRIVATE)
    collect_seldom()
    if language() == "zh":
        name_panels()
    guarded(app)
