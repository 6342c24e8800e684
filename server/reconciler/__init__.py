"""What drives each job to its end: claims what is due, talks to its trainer, and writes what came of it."""
