"""What every layer shares: errors, files, progress, the quiet start of an entry point."""
