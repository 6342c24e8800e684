"""The story of a Training Sheet of 100,000 pairs, told with the real program and measured."""
