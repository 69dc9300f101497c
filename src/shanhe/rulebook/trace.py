"""The trace of a decision: versioned JSON that says in both languages why this amount, and how to work it out again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from shanhe.rulebook.build import Builder
from shanhe.rulebook.compiled import compile_scalar
from shanhe.rulebook.evaluate import Evaluation
from shanhe.rulebook.functions import FUNCTIONS
from shanhe.rulebook.ir import DATE, NUM, Const, FactRef, Lookup, Node, Pick, StepRef
from shanhe.rulebook.model import Decision, Fact, Text, canonical
from shanhe.rulebook.nearest import Change, Search, active
from shanhe.rulebook.program import BuiltOutput, Program
from shanhe.rulebook.reading import Reading
from shanhe.rulebook.wording import ROUNDING_TEXT, Writer, base_display, display, exact, outermost, said, unit_of

TRACE_VERSION = 1
NEAREST_SHOWN = 4


class Explainer:
    """Decides and explains by one version of a rule."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._rule = program.version.rule
        self._function = compile_scalar(program)
        self._facts: dict[str, Fact] = {fact.name: fact for fact in self._rule.facts}
        self._titles: dict[str, Text] = {fact.name: fact.title for fact in self._rule.facts}
        self._titles |= {parameter.name: parameter.title for parameter in self._rule.parameters}
        self._titles |= {step.name: step.title for step, _ in program.steps}
        self._titles |= {built.output.name: built.output.title for built in program.outputs}
        self._parameters = [self._parameter(name) for name in program.version.values]

    def decide(self, facts: Mapping[str, Any], on: date, known: datetime | date | None) -> Decision:
        """The decision over validated facts."""
        evaluation = Evaluation(facts)
        outputs = {built.output.name: _public(evaluation.value(built.rounded), built.rounded) for built in self._built}
        fractions = {
            built.output.name: Fraction(evaluation.value(built.exact))
            for built in self._built
            if built.exact.kind == NUM
        }
        formula = self._program.version.formula
        assert formula is not None  # a program is only built of a formula
        assert formula.amount is not None  # the loader sees to it
        main = next(built for built in self._built if built.output.name == formula.amount)
        unit = main.output.unit if main.output.type == "number" else main.output.type
        return Decision(
            rule_id=self._rule.id,
            outputs=outputs,
            exact=fractions,
            amount=outputs[formula.amount],
            unit=unit,
            version=self._program.version.version,
            article=formula.article,
            trace=self._trace(evaluation, on, known, outputs, formula.amount),
        )

    @property
    def _built(self) -> tuple[BuiltOutput, ...]:
        return self._program.outputs

    def _trace(
        self, evaluation: Evaluation, on: date, known: datetime | date | None, outputs: Mapping[str, Any], amount: str
    ) -> dict[str, Any]:
        roots = [built.rounded for built in self._built]
        nodes = list(active(roots, evaluation))
        search = Search(self._facts, evaluation, self._function, nodes)
        formula = self._program.version.formula
        assert formula is not None  # see decide()
        reading = Reading(self._rule, evaluation)
        steps = [
            self._step(step.name, step.expression, node, evaluation, reading) for step, node in self._program.steps
        ]
        return {
            "trace_version": TRACE_VERSION,
            "rule": self._rule.id,
            "title": self._rule.title.to_dict(),
            "article": formula.article,
            "department": self._rule.department.to_dict(),
            "version": self._program.version.version,
            "rule_hash": self._rule.content_hash,
            "amendment": formula.amendment,
            "event": {"name": self._rule.event, "title": self._rule.event_title.to_dict()},
            "on": on.isoformat(),
            "known": known.isoformat() if known is not None else None,
            "inputs": [self._input(fact, evaluation.facts[fact.name]) for fact in self._rule.facts],
            "parameters": self._parameters,
            "steps": steps,
            "outputs": [self._output(built, evaluation, reading) for built in self._built],
            "amount": amount,
            "binding": self._binding(nodes, evaluation),
            "nearest": [self._change(change, outputs) for change in search.flips(amount)[:NEAREST_SHOWN]],
            "alternatives": [self._change(change, outputs) for change in search.alternatives()],
        }

    def _input(self, fact: Fact, value: Any) -> dict[str, Any]:
        return {
            "name": fact.name,
            "title": fact.title.to_dict(),
            "type": fact.type,
            "unit": "" if fact.unit == "int" else fact.unit,
            "value": canonical(value),
            **self._display(value, fact.unit),
        }

    def _display(self, value: Any, unit: str, edge_unit: str = "int") -> dict[str, Any]:
        return _said(display(value, unit, edge_unit), said(value, unit, self._rule.label))

    def _parameter(self, name: str) -> dict[str, Any]:
        dated = self._program.version.values[name]
        parameter = self._rule.parameter(name)
        assert parameter is not None  # values are resolved from the same rule
        return {
            "name": name,
            "title": parameter.title.to_dict(),
            "unit": "" if parameter.unit == "int" else parameter.unit,
            "value": canonical(dated.value),
            **self._display(dated.value, parameter.unit, parameter.edge_unit),
            "from": dated.start.isoformat(),
            "announced": dated.announced.isoformat(),
            "origin": dated.origin,
            "reason": dated.reason.to_dict() if dated.reason else None,
            "article": dated.article,
            "amendment": dated.amendment,
        }

    def _step(self, name: str, expression: str, node: Node, evaluation: Evaluation, reading: Reading) -> dict[str, Any]:
        writer = Writer(evaluation)
        arithmetic = outermost(writer.write(node))
        value = evaluation.value(node)
        return {
            "name": name,
            "title": self._titles[name].to_dict(),
            "expression": expression,
            "arithmetic": arithmetic,
            "reading": reading.read(node).to_dict(),
            "tests": [{"test": test, "holds": holds} for test, holds in writer.tests],
            "exact": exact(_public(value, node)),
            **_said(base_display(value, node), reading.value(node)),
            "unit": "" if node.kind != NUM or unit_of(node.dims) == "int" else unit_of(node.dims),
        }

    def _output(self, built: BuiltOutput, evaluation: Evaluation, reading: Reading) -> dict[str, Any]:
        entry = self._step(built.output.name, built.output.expression, built.exact, evaluation, reading)
        value = _public(evaluation.value(built.rounded), built.rounded)
        number = built.output.type == "number"
        return entry | {
            "value": canonical(value),
            "unit": built.output.unit if number and built.output.unit != "int" else "",
            "rounding": built.output.rounding if number else None,
            "rounding_title": ROUNDING_TEXT[built.output.rounding].to_dict() if number else None,
            "rounded": number and Fraction(evaluation.value(built.exact)).denominator != 1,
            **self._display(value, built.output.unit),
        }

    # -- binding and nearest -----------------------------------------------------------------------------------------

    def _title(self, node: Node) -> Text | None:
        """What a side of a choice is called; None for what has no name of its own."""
        return self._titles.get(node.name) if isinstance(node, FactRef | StepRef | Const | Lookup) else None

    def _named(self, node: Node, evaluation: Evaluation) -> tuple[str, str]:
        """A side of a choice in words (zh, en): its title where it has a name, else its value."""
        value, title = base_display(evaluation.value(node), node), self._title(node)
        return (value, value) if title is None else (f"{title.zh}（{value}）", f"{title.en} ({value})")

    def _binding(self, nodes: list[Node], evaluation: Evaluation) -> list[dict[str, Any]]:
        bindings = []
        for node in nodes:
            if not isinstance(node, Pick) or not (self._title(node.left) or self._title(node.right)):
                continue
            a, b = evaluation.value(node.left), evaluation.value(node.right)
            won, lost = (node.left, node.right) if evaluation.value(node) == a else (node.right, node.left)
            won_zh, won_en = self._named(won, evaluation)
            lost_zh, lost_en = self._named(lost, evaluation)
            low = node.op == "min"
            sign = "≤" if low else "≥"
            bindings.append(
                {
                    "op": node.op,
                    "slack": exact(abs(Fraction(a) - Fraction(b))),
                    "text": {
                        "zh": f"{won_zh} {sign} {lost_zh}，故取{'较小' if low else '较大'}的 {won_zh}",
                        "en": f"{won_en} {sign} {lost_en}, so the {'smaller' if low else 'larger'} counts",
                    },
                }
            )
        return bindings

    def _change(self, change: Change, outputs: Mapping[str, Any]) -> dict[str, Any]:
        fact = change.fact
        differing = [
            built.output for built in self._built if change.outputs[built.output.name] != outputs[built.output.name]
        ]
        then = [(o.title, said(change.outputs[o.name], o.unit, self._rule.label)) for o in differing]
        zh = "，".join(f"{title.zh} {value.zh}" for title, value in then)
        en = ", ".join(f"{title.en} {value.en}" for title, value in then)
        condition = _if(change, said(change.after, fact.unit, self._rule.label))
        return {
            "fact": fact.name,
            "from": canonical(change.before),
            "to": canonical(change.after),
            "outputs": {name: canonical(value) for name, value in change.outputs.items()},
            "text": {"zh": f"{condition.zh}：{zh}", "en": f"{condition.en}: {en}"},
        }


def _if(change: Change, after: Text) -> Text:
    """The condition of a change in words; numbers and days say how far it is from here, too."""
    title, before = change.fact.title, change.before
    if isinstance(before, bool | str):
        return Text(f"若{title.zh}为“{after.zh}”", f"With “{title.en}” {after.en}")
    if isinstance(before, date):
        days = (change.after - before).days
        plural = "" if abs(days) == 1 else "s"
        when = f"{'more day' if days > 0 else 'day'}{plural}{'' if days > 0 else ' earlier'}"
        return Text(f"{'再过' if days > 0 else '早'} {abs(days)} 天（{title.zh} {after.zh}）",
                    f"{abs(days)} {when} ({title.en} {after.en})")  # fmt: skip
    step = change.after - before
    far = display(abs(step), change.fact.unit)
    return Text(f"若{title.zh}{'增加' if step > 0 else '减少'} {far}（至 {after.zh}）",
                f"With {far} {'more' if step > 0 else 'less'} “{title.en}” ({after.en})")  # fmt: skip


def _said(shown: str, words: Text) -> dict[str, Any]:
    """A value for reading, and in the words of each language where it has any."""
    return {"display": shown, "said": None if words.zh == words.en == shown else words.to_dict()}


def _public(value: Any, node: Node) -> Any:
    return date.fromordinal(value) if node.kind == DATE else list(value) if isinstance(value, tuple) else value


def recompute(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Work a trace out again from its printed arithmetic alone: `{output: value}` as JSON values.

    Needs neither the rule nor its parameters; FormulaInvalid where the arithmetic was tampered into nonsense.
    """
    results: dict[str, Any] = {}
    for entry in trace["outputs"]:
        builder = Builder({}, FUNCTIONS, unitless=True)
        node = builder.build(str(entry["arithmetic"]))
        if entry["rounding"] and node.kind == NUM:
            node = builder.rounded(str(entry["rounding"]), node)
        results[str(entry["name"])] = canonical(_public(Evaluation({}).value(node), node))
    return results
