"""What keeps the repository in order: set-up, generated files, test running under Bazel."""
