"""Claims of the pages that a machine can check, each by other means than the code it checks."""
