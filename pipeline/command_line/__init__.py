"""What every program shares: errors, exit codes, flags, progress."""
