"""The table of all rules as a page of the documentation, so that it can never lag behind the files."""

from __future__ import annotations

from shanhe.rulebook.model import Rule
from shanhe.rulebook.service import Rulebook

CHAPTERS = {
    "R": ("护栏", "Guards"),
    "P": ("平台与定价", "Platform and pricing"),
    "C": ("积分", "AI Credit"),
    "N": ("数字游民", "Digital nomads"),
    "I": ("招商", "Investment promotion"),
    "T": ("人才、科研与知识产权", "Talent, research, rights"),
    "F": ("金融", "Finance"),
    "B": ("品牌与创作者", "Brand and creators"),
    "H": ("城市中枢", "City hub"),
    "S": ("战略指标", "Scorecard"),
}

HEAD = """# Every rule

Written by `shanhe rules table` from the rule files; a test compares the two. *Given* values stand in the strategy,
*assumed* ones are the city's own, with the reason in the file and on the rule's page. What a rule file holds is on
[the rulebook page](rulebook.md).
"""


def rules_page(rulebook: Rulebook) -> str:
    """Markdown: one table a chapter."""
    parts = [HEAD]
    for letter, (zh, en) in CHAPTERS.items():
        rules = [rulebook.rule(key) for key in rulebook.ids() if key.startswith(letter)]
        if rules:
            parts += [
                f"## {letter} · {en} {zh}",
                "",
                "| rule | title | article | owner | given | assumed |",
                "|---|---|---|---|---|---|",
            ]
            parts += [*(_line(rule) for rule in rules), ""]
    return "\n".join(parts)


def _line(rule: Rule) -> str:
    origins = [value.origin for parameter in rule.parameters if not parameter.of for value in parameter.values]
    title = f"{rule.title.zh} · {rule.title.en}".replace("|", "/")
    owner = f"{rule.department.zh} · {rule.department.en}"
    return (
        f"| `{rule.id}` | {title} | {rule.article} | {owner} | {origins.count('given')} | {origins.count('assumed')} |"
    )
