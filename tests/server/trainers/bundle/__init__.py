"""The training of language models as it runs by itself."""
