"""What Postgres keeps: tables, and one function for each write and each read of the poller."""
