"""Write the golden files anew: `python -m tests.golden`. Read the diff before committing it."""

from tests.golden.cases import CASES, path_of, text_of

for name, manifest in CASES.items():
    path_of(name).write_text(text_of(manifest))
