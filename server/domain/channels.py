"""Names of the notifications by which the database says "look"; they carry ids, never data."""

CHANGED = "tunegraph"  # the payload is the id of a job that changed
DUE = "tunegraph_due"  # some job wants the poller now; no payload
