"""Nouns of the studio: recipes, steps, jobs, models. Frozen and pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.studio.errors import BadRecipe
from shanhe.studio.judging import RUBRIC_MAX_CHARS, rubric_hash

NAME: Final = re.compile(r"^[a-z0-9][a-z0-9-]{1,39}$")
QUANTA: Final = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")
"""How a model's weights are packed in the end, from the largest to the smallest."""
STEP_VERSION: Final = 2
"""Part of every step's hash: raise it when a step's code gives other results."""
LATER_SLOWER: Final = 5
"""What comes after tuning (preferences, healing) is learnt at a smaller rate, or it undoes what was learnt."""
SPEED_TOKENS: Final = 48
"""Length of the answers by which a model's speed is told; part of the step's hash."""
SECONDS_OF: Final = {"tune": 1.4, "align": 2.8, "merge": 25.0, "drop": 40.0, "quantize": 45.0, "evaluate": 0.8}
"""Core seconds that a step takes, for the estimate: tune for each row of a batch, evaluate for each question."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do. `epochs`: how often each pair is seen; `drop_layers`: layers taken out, followed by healing;
    `layers`: so many of the last ones are trained, 0 = all;
    `adapter`: the base stays as it is, and what was learnt is served beside it;
    `imatrix`: pack with an importance matrix;
    `align_epochs`: how often each pair of a right and a wrong answer is seen after that, to prefer the right one;
    `deploy`: put into service at once if it answers more of the questions rightly than its base;
    `judge`: a model of the city that compares the answers of both, for up to `judge_questions` questions, by
    `rubric` (empty: the usual one);
    `against`: number of a version of the same name that answers the same questions, so that both can be compared."""

    base: str
    epochs: int = 3
    batch: int = 4
    rank: int = 8
    rate_ppm: int = 300
    tokens_max: int = 128
    drop_layers: int = 0
    heal_epochs: int = 1
    layers: int = 0
    adapter: bool = False
    deploy: bool = False
    align_epochs: int = 0
    quantum: str = "Q4_K"
    imatrix: bool = False
    judge: str = ""
    judge_questions: int = 20
    rubric: str = ""
    against: int = 0
    seed: int = 7


class StepPlan(msgspec.Struct, frozen=True):
    """A step before it is run. `inputs`: names of its files and where they come from: `base`, `train`, `questions`, or
    `N.name`, the file `name` of the step numbered N, or `against` and `against_base`, the model that is compared."""

    kind: str
    title: str
    parameters: dict[str, Any]
    inputs: dict[str, str]
    core_s: float


class Job(msgspec.Struct, frozen=True):
    id: UUID
    org_id: UUID
    name: str
    dataset_id: UUID
    version_id: UUID
    recipe: dict[str, Any]
    state: str
    steps: int
    budget_micro: int
    spent_micro: int
    core_ms: int
    hold_id: UUID
    worker: str | None
    cancel_asked: bool
    error: dict[str, Any] | None
    made_by: str
    made_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    settled_at: datetime | None
    rubric: str = ""
    """What the judge was told to look at; sealed in the store."""


class Step(msgspec.Struct, frozen=True):
    job_id: UUID
    at: int
    kind: str
    title: str
    state: str
    hash: bytes | None
    core_ms: int
    metrics: dict[str, Any]
    started_at: datetime | None
    ended_at: datetime | None


class Point(msgspec.Struct, frozen=True):
    """The loss after `n` of `of` rounds of a step."""

    at: int
    n: int
    of: int
    loss: float


class Made(msgspec.Struct, frozen=True):
    """A model that came out of a job. Scores are of the same questions, in basis points."""

    id: UUID
    org_id: UUID
    name: str
    number: int
    job_id: UUID
    version_id: UUID
    base: str
    step_hash: bytes
    sha256: bytes
    size_bytes: int
    score_bps: int
    base_bps: int
    card: dict[str, Any]
    engine: str | None
    state: str
    made_at: datetime
    deployed_at: datetime | None
    share_bps: int = 10_000
    """Of the calls to its name, while it is on trial."""


class Comparison(msgspec.Struct, frozen=True):
    """A model and another of its name on the same questions, which neither learnt from."""

    model_id: UUID
    against_id: UUID
    job_id: UUID
    asked: int
    base_right: int
    model_right: int
    against_right: int
    gained: int
    lost: int
    made_at: datetime


def checked(recipe: Recipe, name: str) -> None:
    """BadRecipe names what is out of range."""
    ranges = {
        "epochs": (1, 20), "batch": (1, 16), "rank": (2, 64), "rate_ppm": (1, 5_000), "tokens_max": (16, 512),
        "drop_layers": (0, 16), "heal_epochs": (0, 10), "align_epochs": (0, 10), "layers": (0, 200), "seed": (0, 2**31),
        "judge_questions": (1, 100), "against": (0, 2**31 - 1),
    }  # fmt: skip
    for field, (least, most) in ranges.items():
        if not least <= getattr(recipe, field) <= most:
            raise BadRecipe(f"{field} is from {least} to {most}", f"{field} 须在 {least} 至 {most} 之间")
    if recipe.quantum not in QUANTA:
        raise BadRecipe(f"quantum is one of {', '.join(QUANTA)}", f"quantum 须为 {'、'.join(QUANTA)}")
    if recipe.adapter and (recipe.drop_layers or recipe.align_epochs):
        raise BadRecipe(
            "an adapter is of one training on its whole base: no layers dropped, no preferences",
            "适配器只对应完整基座上的一次训练，不能删层或做偏好对齐",
        )
    if len(recipe.rubric) > RUBRIC_MAX_CHARS:
        raise BadRecipe(
            f"a rubric has at most {RUBRIC_MAX_CHARS} characters", f"评分标准最多 {RUBRIC_MAX_CHARS} 字"
        )  # fmt: skip
    if not NAME.match(name):
        raise BadRecipe("a model's name has 2 to 40 of a-z, 0-9 and dash", "模型名须为 2–40 个小写字母、数字或横线")


def plan(recipe: Recipe, lessons: int, questions: int) -> list[StepPlan]:
    """The steps of a recipe over so many training pairs and questions. Pure."""
    steps: list[StepPlan] = []

    def add(kind: str, title: str, core_s: float, inputs: dict[str, str], **parameters: Any) -> int:
        steps.append(StepPlan(kind, title, parameters, inputs, core_s))
        return len(steps) - 1

    def tune(model: str, title: str, epochs: int, kind: str = "tune") -> int:
        rounds = -(-lessons * epochs // recipe.batch)
        rate_ppm = recipe.rate_ppm if title == "tune" else max(1, recipe.rate_ppm // LATER_SLOWER)
        return add(
            kind, title, lessons * epochs * SECONDS_OF[kind], {"model": model, "pairs": "train"}, rounds=rounds,
            batch=recipe.batch, rank=recipe.rank, rate_ppm=rate_ppm, tokens_max=recipe.tokens_max,
            seed=recipe.seed, layers=recipe.layers,
        )  # fmt: skip

    def merged(model: str, adapter: int) -> str:
        inputs = {"model": model, "adapter": f"{adapter}.adapter.safetensors"}
        return f"{add('merge', 'merge', SECONDS_OF['merge'], inputs)}.model.gguf"

    def evaluate(title: str, **inputs: str) -> int:
        core_s = questions * SECONDS_OF["evaluate"]
        return add("evaluate", title, core_s, inputs | {"questions": "questions"}, speed_tokens=SPEED_TOKENS)

    def judged(after: int) -> list[StepPlan]:
        if recipe.judge:
            inputs = {"before": f"{before}.answers.jsonl", "after": f"{after}.answers.jsonl"}
            add(
                "judge", "judge", 0.0, inputs, judge=recipe.judge, questions=recipe.judge_questions,
                rubric_sha256=rubric_hash(recipe.rubric),
            )  # fmt: skip
        return steps

    before = evaluate("before", model="base")
    if recipe.against:
        beside = {"model": "against_base", "adapter": "against"} if recipe.adapter else {"model": "against"}
        evaluate("against", **beside)
    tuned = tune("base", "tune", recipe.epochs)
    if recipe.adapter:
        return judged(evaluate("after", model="base", adapter=f"{tuned}.adapter.gguf"))
    model = merged("base", tuned)
    if recipe.align_epochs:
        model = merged(model, tune(model, "align", recipe.align_epochs, "align"))
    if recipe.drop_layers:
        dropped = add(
            "drop", "drop", SECONDS_OF["drop"], {"model": model, "pairs": "train"}, layers=recipe.drop_layers,
            tokens_max=recipe.tokens_max,
        )  # fmt: skip
        model = f"{dropped}.model.gguf"
        if recipe.heal_epochs:
            model = merged(model, tune(model, "heal", recipe.heal_epochs))
    given: dict[str, Any] = {"quantum": recipe.quantum}
    inputs = {"model": model}
    if recipe.imatrix:
        given["tokens_max"] = recipe.tokens_max
        inputs["pairs"] = "train"
    packed = add("quantize", "quantize", SECONDS_OF["quantize"] * len(inputs), inputs, **given)
    return judged(evaluate("after", model=f"{packed}.model.gguf"))


def estimate_core_ms(steps: Sequence[StepPlan]) -> int:
    """Processor time that a recipe is thought to take."""
    return int(sum(step.core_s for step in steps) * 1000)


def step_hash(step: StepPlan, inputs: dict[str, str]) -> bytes:
    """What a step is: kind, parameters, and the hashes of its input files. The same hash, the same result."""
    body = [STEP_VERSION, step.kind, sorted(step.parameters.items()), sorted(inputs.items())]
    return hashlib.sha256(msgspec.json.encode(body)).digest()
