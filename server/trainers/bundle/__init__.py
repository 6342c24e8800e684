"""The training of language models, complete in one folder: it is copied to where the GPUs are and runs there by itself.

Its modules import each other relatively and nothing else of Tunegraph, so that the folder is a package under any name:
`command.sh` runs `python -m bundle.train` on a machine that has no Tunegraph, and the local trainer imports the same.
"""
