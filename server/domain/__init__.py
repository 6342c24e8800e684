"""The rules of Tunegraph as plain Python: no library, no I/O."""
