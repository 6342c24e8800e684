"""The types of the API: each field says what it means and how it is read."""
