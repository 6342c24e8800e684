"""Training on this machine, in child processes that outlive the server."""
