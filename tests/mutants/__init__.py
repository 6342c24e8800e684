"""Bugs planted into copies of the sources, to see that the differential test catches each."""
