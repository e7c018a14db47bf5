"""Pictures and pages from a run directory; starts nothing. The only importer of matplotlib."""


def write_report(*a) -> None:
    return None
