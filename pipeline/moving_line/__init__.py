"""The built-in synthetic kind of data set: lines that grow to the left or to the right."""
