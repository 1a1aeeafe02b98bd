"""One that is rolled back as a whole, and one that cannot be."""
