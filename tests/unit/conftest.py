"""Generated values are not timed, because machines differ, and leave no files behind."""

from hypothesis import settings

settings.register_profile("modelvane", deadline=None, database=None)
settings.load_profile("modelvane")
