"""Worker processes on this machine: their number, pools, Beam's local workers and their servers."""
