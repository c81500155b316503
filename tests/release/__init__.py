"""What is released beside the wheel: one file to carry to a broken host, manual pages, a Debian package.

``python -m tests.release.pyz``, ``tests.release.man`` and ``tests.release.deb`` make them; the Makefile says where. All
are made of the wheel, and of libraries as they are installed beside mntscope, so they hold what the tests have run.
"""
