"""Shared by all programs: errors, exit codes, the argument parser, progress output."""
