"""The door of webhooks."""

from __future__ import annotations

from shanhe.webhooks.model import Delivery, Endpoint, Form
from shanhe.webhooks.service import CHANNEL, Webhooks
from shanhe.webhooks.views import delivery_view, endpoint_view

__all__ = ["CHANNEL", "Delivery", "Endpoint", "Form", "Webhooks", "delivery_view", "endpoint_view"]
