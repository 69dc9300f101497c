"""The way of a run through its definition: which steps are due, and where each leads. Pure."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shanhe.workflows.errors import StepFailed
from shanhe.workflows.language import holds, taken
from shanhe.workflows.model import (
    COURSE_MAX_BYTES,
    DATA_CLASSES,
    FAILURE,
    VARIABLES_MAX_BYTES,
    AnyNode,
    Approval,
    Attempt,
    Branch,
    Course,
    Definition,
    Frame,
    Loop,
    Output,
    Over,
    Parallel,
    Set,
)
from shanhe.workflows.ways import ROUND, passing


@dataclass(frozen=True, slots=True)
class Lane:
    """A step that is due: where it stands, the courses around it from the outside in, and how its branch is called."""

    course: Course
    outer: tuple[Course, ...] = ()
    branch: str = ""

    @property
    def n(self) -> int:
        return self.course.n

    @property
    def variables(self) -> MutableMapping[str, Any]:
        """What is known here; what is written stays in the branch until it ends."""
        return ChainMap(self.course.variables, *(one.variables for one in reversed(self.outer)))


class Way:
    """Where a run stands, and how it moves."""

    def __init__(self, definition: Definition, course: Course, steps: int) -> None:
        self.course = course
        self._definition = definition
        self._passing = passing(definition)
        if course.at and not course.n:  # it has not begun, or was begun when runs had one step at a time
            course.n, course.last, course.first = steps + 1, steps + 1, steps + 1 - course.tried

    def node(self, lane: Lane) -> AnyNode:
        return self._definition.node(lane.course.at)

    def lanes(self) -> list[Lane]:
        """The steps that are due, in their order; none when the run has come to its end."""
        return sorted(self._lanes(Lane(self.course)), key=lambda lane: lane.n)

    def _lanes(self, lane: Lane) -> Iterator[Lane]:
        if not lane.course.branches:
            if lane.course.at:
                yield lane
            return
        node = self.node(lane)
        assert isinstance(node, Parallel)
        for first, branch in zip(node.branches, lane.course.branches, strict=True):
            name = f"{lane.branch}/{first}" if lane.branch else first
            yield from self._lanes(Lane(branch, (*lane.outer, lane.course), name))

    def result(self) -> dict[str, Any]:
        """What the run returns as far as it came."""
        return _results(self.course)

    def bounded(self) -> None:
        """StepFailed when the run keeps more than it may: its variables, or all with loops, branches and result."""
        for one in _all(self.course):
            _fits(one.variables, VARIABLES_MAX_BYTES)
        _fits(self.course, COURSE_MAX_BYTES)

    # -- where a step leads -------------------------------------------------------------------------------------------

    def read(self, lane: Lane, data_class: str) -> None:
        """From here on the branch carries what was read."""
        lane.course.data_class = max(lane.course.data_class, data_class, key=DATA_CLASSES.index)

    def took(self, lane: Lane, value: Any) -> bool:
        """On from a step that was done; False where somebody said no and the node leads nowhere then."""
        node, variables = self.node(lane), lane.variables
        match node:
            case Branch():
                self._move(lane, node.then if holds(node.when, variables) else node.next)
                return True
            case Loop():
                self._loop(lane, node)
                return True
            case Parallel():
                self._fork(lane.course, node)
                return True
            case Approval():
                if node.save:
                    variables[node.save] = value
                approved = value["verdict"] == "approved"
                self._move(lane, node.next if approved else node.refused)
                return approved or bool(node.refused)
            case Set():
                variables.update({name: taken(text, variables) for name, text in node.values.items()})
            case Output():
                lane.course.result |= {name: taken(text, variables) for name, text in node.values.items()}
            case _:
                variables[node.save] = value
        self._move(lane, node.next)
        return True

    def tried(self, lane: Lane, *, again: bool, failure: Mapping[str, Any]) -> bool:
        """On from a step that failed, to another try or where its node says; False where it says nothing."""
        node, course = self.node(lane), lane.course
        if not isinstance(node, Attempt):
            return False
        if again and course.tried + 1 < node.tries:
            course.tried += 1
            course.n = self._next()
            return True
        if not node.failed:
            return False
        lane.variables[FAILURE] = {"node": node.id, **failure}
        self._move(lane, node.failed)
        return True

    def close(self, over: Over) -> None:
        """Begin nothing more; what was said first stays."""
        self.course.over = self.course.over or over

    def _next(self) -> int:
        self.course.last += 1
        return self.course.last

    def _move(self, lane: Lane, to: str) -> None:
        """To the next node; at a chain's end back to its loop, to where branches meet, or to the end of the run."""
        course, outer = lane.course, lane.outer
        if outer and to == self._definition.node(outer[-1].at).next:
            to = ""
        course.tried = 0
        course.at = to or (course.frames[-1].loop if course.frames else "")
        if course.at:
            course.n = course.first = self._next()
        elif outer and not any(one.at for one in outer[-1].branches):
            self._meet(outer)

    def _fork(self, course: Course, node: Parallel) -> None:
        for first in node.branches:
            n = self._next()
            course.branches.append(Course(first, data_class=course.data_class, n=n, first=n))

    def _meet(self, outer: tuple[Course, ...]) -> None:
        """What the branches wrote comes together, in their order, and the course around them goes on."""
        course, branches = outer[-1], outer[-1].branches
        lane = Lane(course, outer[:-1])
        for one in branches:
            course.variables |= {name: value for name, value in one.variables.items() if name not in self._passing}
            course.result |= one.result
            self.read(lane, one.data_class)
        course.branches = []
        self._move(lane, self._definition.node(course.at).next)

    # -- loops --------------------------------------------------------------------------------------------------------

    def _loop(self, lane: Lane, node: Loop) -> None:
        """Begin a loop, begin its next round, or leave it."""
        course, variables = lane.course, lane.variables
        if not course.frames or course.frames[-1].loop != node.id:
            items = _items(node, variables) if node.over else None
            course.frames.append(Frame(node.id, -1, items))
        frame = course.frames[-1]
        if frame.round >= 0:
            if node.gather:
                frame.gathered.append(variables[node.gather])
            if node.until and holds(node.until, variables):
                return self._leave(lane, node, frame)
        frame.round += 1
        if frame.items is not None and frame.round >= len(frame.items):
            return self._leave(lane, node, frame)
        if frame.round >= node.most:
            raise StepFailed("loop_bound", f"The condition of {node.id!r} did not hold in {node.most} rounds",
                             f"循环“{node.id}”在 {node.most} 次内未满足条件")  # fmt: skip
        self._names(course, frame)
        return self._move(lane, node.body)

    def _leave(self, lane: Lane, node: Loop, frame: Frame) -> None:
        course = lane.course
        course.frames.pop()
        if node.save:
            course.variables[node.save] = frame.gathered
        if course.frames:  # the round around it has its names again
            self._names(course, course.frames[-1])
        self._move(lane, node.next)

    def _names(self, course: Course, frame: Frame) -> None:
        course.variables[ROUND] = frame.round + 1
        loop = self._definition.node(frame.loop)
        if frame.items is not None and isinstance(loop, Loop):
            course.variables[loop.item] = frame.items[frame.round]


def _fits(kept: Any, most: int) -> None:
    if len(msgspec.json.encode(kept, enc_hook=str)) > most:
        raise StepFailed("variables_too_large", f"The run's values grew beyond {most} bytes",
                         f"运行的变量超过 {most} 字节")  # fmt: skip


def _items(node: Loop, variables: Mapping[str, Any]) -> list[Any]:
    found = variables[node.over]
    if not isinstance(found, list):
        raise StepFailed("not_a_list", f"{node.over!r} is no list", f"“{node.over}”不是列表")
    if len(found) > node.most:
        raise StepFailed("loop_bound", f"{node.over!r} has {len(found)} entries, more than {node.most}",
                         f"“{node.over}”有 {len(found)} 项，超过上限 {node.most}")  # fmt: skip
    return list(found)


def _all(course: Course) -> Iterator[Course]:
    yield course
    for one in course.branches:
        yield from _all(one)


def _results(course: Course) -> dict[str, Any]:
    found = dict(course.result)
    for one in course.branches:
        found |= _results(one)
    return found
