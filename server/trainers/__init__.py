"""Who trains: one port, one adapter for each trainer."""
