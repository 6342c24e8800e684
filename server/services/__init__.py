"""What people and the poller may ask for: authorize, one transaction, rules and adapters."""
