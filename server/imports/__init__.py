"""Files of labelled pairs: read line by line, checked, and stored under a training sheet."""
