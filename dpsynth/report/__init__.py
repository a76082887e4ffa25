"""An audit for people: as Markdown, and as one HTML file that needs nothing else."""
