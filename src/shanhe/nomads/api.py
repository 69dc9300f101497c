"""The door of nomads."""

from __future__ import annotations

from shanhe.nomads.benefits import Purse, TicketView
from shanhe.nomads.cards import ISSUED_TOPIC, Outlook
from shanhe.nomads.codes import PASS, TICKET, VENUE, Ticket
from shanhe.nomads.codes import make as make_code
from shanhe.nomads.errors import (
    BadCode,
    BadField,
    NeedsConsent,
    NotAPerson,
    NotEligible,
    NotRelied,
    TooOften,
    UnknownNomad,
    UnknownVenue,
    UsedAlready,
    VenueTaken,
)
from shanhe.nomads.jobs import tick
from shanhe.nomads.membership import attest
from shanhe.nomads.model import (
    Benefit,
    Card,
    CheckIn,
    FeedRow,
    NewVenue,
    Nomad,
    Proof,
    Purpose,
    Redemption,
    Scan,
    Settled,
    Standing,
    Venue,
    VenueKind,
    Verdict,
)
from shanhe.nomads.offline import check_offline
from shanhe.nomads.service import Nomads
from shanhe.nomads.venues import OPERATE, Venues
from shanhe.nomads.views import (
    appeal_view,
    card_view,
    check_in_view,
    feed_view,
    outlook_view,
    place_view,
    purse_view,
    settled_view,
    venue_view,
    verdict_view,
)

__all__ = [
    "ISSUED_TOPIC",
    "OPERATE",
    "PASS",
    "TICKET",
    "VENUE",
    "BadCode",
    "BadField",
    "Benefit",
    "Card",
    "CheckIn",
    "FeedRow",
    "NeedsConsent",
    "NewVenue",
    "Nomad",
    "Nomads",
    "NotAPerson",
    "NotEligible",
    "NotRelied",
    "Outlook",
    "Proof",
    "Purpose",
    "Purse",
    "Redemption",
    "Scan",
    "Settled",
    "Standing",
    "Ticket",
    "TicketView",
    "TooOften",
    "UnknownNomad",
    "UnknownVenue",
    "UsedAlready",
    "Venue",
    "VenueKind",
    "VenueTaken",
    "Venues",
    "Verdict",
    "appeal_view",
    "attest",
    "card_view",
    "check_in_view",
    "check_offline",
    "feed_view",
    "make_code",
    "outlook_view",
    "place_view",
    "purse_view",
    "settled_view",
    "tick",
    "venue_view",
    "verdict_view",
]
