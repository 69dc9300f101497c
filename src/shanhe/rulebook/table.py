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

HEAD = {
    "en": """# Every rule

Written by `shanhe rules table` from the rule files; a test compares the two. *Given* values stand in the strategy,
*assumed* ones are the city's own, with the reason in the file and on the rule's page. What a rule file holds is on
[the rulebook page](rulebook.md).
""",
    "zh": """# 全部规则

由 `shanhe rules table` 从规则文件生成，有测试核对。*给定*的取值出自战略原文，
*假定*的取值由城市补充，理由在规则文件与规则页面上。
规则文件写什么，见[规则手册](rulebook.md)。
""",
}
COLUMNS = {
    "en": "| rule | title | article | owner | given | assumed |",
    "zh": "| 规则 | 名称 | 条款 | 主管部门 | 给定 | 假定 |",
}


def rules_page(rulebook: Rulebook, language: str = "en") -> str:
    """Markdown, in English (with the Chinese titles of the law's own text) or in Chinese: one table a chapter."""
    parts = [HEAD[language]]
    for letter, (zh, en) in CHAPTERS.items():
        rules = [rulebook.rule(key) for key in rulebook.ids() if key.startswith(letter)]
        if rules:
            title = zh if language == "zh" else f"{en} {zh}"
            parts += [f"## {letter} · {title}", "", COLUMNS[language], "|---|---|---|---|---|---|"]
            parts += [*(_line(rule, language) for rule in rules), ""]
    return "\n".join(parts)


def _line(rule: Rule, language: str) -> str:
    origins = [value.origin for parameter in rule.parameters if not parameter.of for value in parameter.values]
    title, owner = (text.zh if language == "zh" else f"{text.zh} · {text.en}" for text in (rule.title, rule.department))
    return (
        f"| `{rule.id}` | {title.replace('|', '/')} | {rule.article} | {owner} "
        f"| {origins.count('given')} | {origins.count('assumed')} |"
    )
