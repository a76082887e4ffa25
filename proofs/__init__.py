"""Why each act costs what the ledger says: pages pinned to the code they prove."""
