"""The scenarios: each module has one `run(bed, check)`."""
