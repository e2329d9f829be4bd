"""What model calls cost: prices, the ledger, and hard budgets."""
