"""Needs a package that does not exist."""

import no_such_package_at_all  # noqa: F401
