"""Where runs are logged and models registered."""
