"""One script a program: run inside that program's own environment, it writes traces of its mechanisms."""
