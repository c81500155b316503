"""What runtimes really do to mounts, beside what a preview says that they will do."""
