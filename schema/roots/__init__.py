"""The three roots of the schema: what may be asked, done and followed."""
