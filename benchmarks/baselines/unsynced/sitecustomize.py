"""With this folder on PYTHONPATH a Python program does not wait for the disk: what is left is its cost."""

import os

os.fsync = lambda fd: None
