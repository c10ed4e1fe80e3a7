"""The kind of data set of moving lines: lines that grow to the left or to the right."""
