"""The door of the board for other modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shanhe.board.errors import (
    AlreadyMeeting,
    BadMatch,
    BadPost,
    BoardFull,
    OfferChanged,
    OwnPost,
    PostTaken,
    TooManyMatches,
    TooManyPosts,
    UnknownMatch,
    UnknownPost,
    WrongMatchState,
    WrongPostState,
)
from shanhe.board.fits import Finding
from shanhe.board.matching import Corpus, counted, fuse, wanted
from shanhe.board.meetings import Meetings, View
from shanhe.board.model import (
    READINESS_MAX,
    SECTORS,
    Fit,
    Fits,
    Kind,
    Match,
    MatchState,
    Post,
    PostState,
    Words,
    kind_of,
)
from shanhe.board.service import Posts
from shanhe.board.views import fits_view, match_view, post_view, post_views


@dataclass(frozen=True)
class Board:
    """What is posted, what fits it, and who meets."""

    posts: Posts
    finding: Finding
    meetings: Meetings
    terms: Callable[[], Mapping[str, Any]]
    """What T10 gives today: rule, reward_micro, matches_max."""

    async def tick(self) -> int:
        """End what is over, ask for rewards that are due; how many."""
        return await self.posts.tick() + await self.meetings.tick()


__all__ = [
    "READINESS_MAX",
    "SECTORS",
    "AlreadyMeeting",
    "BadMatch",
    "BadPost",
    "Board",
    "BoardFull",
    "Corpus",
    "Finding",
    "Fit",
    "Fits",
    "Kind",
    "Match",
    "MatchState",
    "Meetings",
    "OfferChanged",
    "OwnPost",
    "Post",
    "PostState",
    "PostTaken",
    "Posts",
    "TooManyMatches",
    "TooManyPosts",
    "UnknownMatch",
    "UnknownPost",
    "View",
    "Words",
    "WrongMatchState",
    "WrongPostState",
    "counted",
    "fits_view",
    "fuse",
    "kind_of",
    "match_view",
    "post_view",
    "post_views",
    "wanted",
]
