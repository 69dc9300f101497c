"""Payments in: one order state machine, one provider protocol, signed asynchronous notifications, refunds, mandates.

The embedded `sandbox` provider behaves like the real ones (hosted pay page, notifications that may come twice, late or
out of order), so that whatever is built on this door needs no change when a real provider is configured. Payments moves
no value on the ledger: whoever ordered is told that an order is paid, and acknowledges once it has posted.
"""
