"""Where the time of every stage goes on one core, a part at a time, and what the core needs at least.

A stage's figures are its name as ``stage``; ``of``, what is counted, as "sequences"; ``parts``, nanoseconds
for one of these by part; ``whole``, those of the whole stage, measured by itself; ``limit``, those that the
core needs for what cannot be left out, and ``why``, how that comes about.
"""
