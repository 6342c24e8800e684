"""The sub-commands of the program, a module each: `run(settings, options)` does one and gives the exit status."""
