"""One feature group per file; registered in ``features.catalog``."""
