"""A person without a mouse: goes by Tab, sees at every stop where they are, and acts by keys."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Locator, Page, expect

STOPS_MAX: Final = 120
SEEN: Final = """() => {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return "nothing";
  const at = one.getBoundingClientRect(), look = getComputedStyle(one), name = one.outerHTML.slice(0, 120);
  const left = Math.max(at.left, 0), right = Math.min(at.right, innerWidth);
  const top = Math.max(at.top, 0), bottom = Math.min(at.bottom, innerHeight);
  if (right - left < 1 || bottom - top < 1) return `out of sight: ${name}`;
  const ringed = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
  if (!ringed && look.boxShadow === "none") return `without a ring: ${name}`;
  const found = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  if (found && !one.contains(found) && !found.contains(one) && !found.closest("label")?.contains(one))
    return `under ${found.outerHTML.slice(0, 80)}: ${name}`;
  return "";
}"""
"""What is wrong with where the focus is, for somebody who only sees the page."""


class Keys:
    def __init__(self, page: Page) -> None:
        self.page = page

    def seen(self) -> None:
        """The focus is on something, in sight, ringed, and nothing lies over it."""
        wrong = self.page.evaluate(SEEN)
        assert wrong == "", f"{self.page.url}: the focus is on {wrong}"

    def to(self, target: Locator) -> None:
        """Tab by Tab to something, looking at each stop."""
        expect(target).to_be_visible()
        for _ in range(STOPS_MAX):
            if target.evaluate("one => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
            self.seen()
        raise AssertionError(f"{self.page.url}: Tab does not lead to {target}")

    def past_the_menu(self) -> None:
        """What the page is about, by the link that leads there from its first stop."""
        self.page.keyboard.press("Tab")
        self.seen()
        self.page.keyboard.press("Enter")
        expect(self.page.locator("main")).to_be_focused()

    def write(self, target: Locator, text: str) -> None:
        """In place of what stands there."""
        self.to(target)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)
        self.seen()

    def go(self, target: Locator) -> None:
        """Where a link or a button leads; the page there begins anew."""
        self.to(target)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def press(self, target: Locator) -> None:
        """A link or a button."""
        self.to(target)
        self.page.keyboard.press("Enter")
