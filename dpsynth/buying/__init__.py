"""What a schema leaves open, bought from the rows: categories, bounds, bins, and whether nulls occur."""
