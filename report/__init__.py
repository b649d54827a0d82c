"""The report on a corpus and its catalog: facts, contact sheets, one HTML page, a public summary."""
