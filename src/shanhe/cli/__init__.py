"""The command line `shanhe`: whatever an operator can do in the console, in a terminal and with `--json`.

One file a group of commands. Heavy imports happen inside the commands, so that `shanhe --help` is quick.
"""

from __future__ import annotations

import typer

from shanhe.cli import (
    agents,
    approvals,
    apps,
    audit,
    bank,
    batches,
    bench,
    board,
    card,
    city,
    clones,
    company,
    content,
    contests,
    credits,
    datasets,
    engines,
    evaluations,
    exchange,
    glass,
    governance,
    ip,
    keys,
    knowledge,
    labels,
    ledger,
    log,
    models,
    node,
    nodes,
    nomads,
    orgs,
    payouts,
    people,
    prices,
    privacy,
    programmes,
    reconcile,
    rules,
    standing,
    store,
    studio,
    tools,
    workflows,
)
from shanhe.cli.common import guarded
from shanhe.kernel.process import collect_seldom

app = typer.Typer(
    name="shanhe",
    help="The software a small city runs to become an AI city: one API, one ledger, dated rules.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
city.register(app)
app.add_typer(models.app, name="models", help="Local models: list the cards, fetch the bytes.")
app.add_typer(prices.app, name="prices", help="What models cost: look, ask the pricing rule, publish.")
app.add_typer(engines.app, name="engines", help="Servers that answer: the local ones and OpenAI-compatible upstreams.")
app.add_typer(nodes.app, name="nodes", help="Machines that others lend to this city.")
app.add_typer(node.app, name="node", help="Lend this machine to a city.")
app.add_typer(batches.app, name="batches", help="Work that may wait, at the price for that.")
app.add_typer(datasets.app, name="datasets", help="Data to learn from: import, clean, follow, delete.")
app.add_typer(knowledge.app, name="knowledge", help="Knowledge bases: fill, search, answer, evaluate.")
app.add_typer(studio.app, name="studio", help="From a data set to a model that answers.")
app.add_typer(orgs.app, name="orgs", help="Organisations.")
app.add_typer(people.app, name="people", help="People who sign in to the console.")
app.add_typer(privacy.app, name="privacy", help="People's rights: purposes, copies, refusals, requests, erasure.")
app.add_typer(keys.app, name="keys", help="API keys of organisations.")
app.add_typer(credits.app, name="credits", help="Balances and top-ups by the operator.")
app.add_typer(payouts.app, name="payouts", help="Makers' income on its way to their bank accounts.")
app.add_typer(reconcile.app, name="reconcile", help="Counts that should agree, and those that did not.")
app.add_typer(bank.app, name="bank", help="Statements of the city's bank account, and money in suspense.")
app.add_typer(exchange.app, name="exchange", help="The credit exchange: orders, auctions, the fund.")
app.add_typer(ledger.app, name="ledger", help="The double-entry ledger.")
app.add_typer(log.app, name="log", help="The transparency log: status, proofs, keys, witnesses.")
app.add_typer(rules.app, name="rules", help="The rulebook: every number and formula as dated data.")
app.add_typer(approvals.app, name="approvals", help="Approvals of authorities, the gates they open, four eyes.")
app.add_typer(glass.app, name="break-glass", help="In an emergency: one person does what takes two.")
standing.register(programmes.app)
app.add_typer(programmes.app, name="programmes", help="What the city promises: apply, decide, fund, follow.")
app.add_typer(company.alliances, name="alliances", help="Companies that build applications together.")
app.add_typer(ip.app, name="ip", help="The registry of rights: register, consent, verify, offer.")
app.add_typer(company.incubator, name="incubator", help="What the incubator offers: resources, quotas, bookings.")
app.add_typer(content.app, name="content", help="The content hub: drafts of texts, who pays, free uses.")
app.add_typer(contests.app, name="contests", help="Contests of makers: calls, entries, juries, prizes.")
app.add_typer(board.app, name="board", help="Needs and solutions: posts, fits, matches and their reward.")
app.add_typer(apps.app, name="apps", help="Apps that people let act for them.")
app.add_typer(store.app, name="store", help="What makers offer: listings, reviews, ratings, income.")
app.add_typer(agents.app, name="agents", help="Agents: check definitions, look at runs.")
app.add_typer(clones.app, name="clones", help="Digital clones: consents, feedback, versions and their gates.")
app.add_typer(labels.app, name="labels", help="Labels of generated content: the key, and checks offline.")
app.add_typer(evaluations.app, name="evaluations", help="Evaluation sets of agents: set, run, excuse.")
app.add_typer(workflows.app, name="workflows", help="Workflows: check, publish, start, follow.")
app.add_typer(tools.app, name="tools", help="Publishers' MCP servers: tools, secrets, calls.")
app.add_typer(governance.app, name="governance", help="How rules change: proposals, votes, vetoes; targets, duties.")
app.add_typer(nomads.app, name="nomads", help="Digital nomads: venues, presence, the ID, tickets.")
app.add_typer(card.app, name="card", help="Credentials: verify one offline, keys of the issuer.")
app.command("audit")(audit.audit)
app.add_typer(bench.app, name="bench", help="Measure this machine.")


def main() -> None:
    """Entry point of the command `shanhe`."""
    collect_seldom()
    guarded(app)
