"""What mntscope says of containers and sandboxes, beside what the kernel does: ``make runtimes``."""
