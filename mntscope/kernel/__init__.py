"""What asks the kernel: its system calls, the mount ids it gives, and the one forked worker that acts elsewhere."""
