"""Other kernels, booted here by ``make kernels``; and other mount(8)s, in :mod:`util_linux`."""
