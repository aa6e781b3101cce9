"""The ledger: a fleet's past and present as values in, a static site out."""
