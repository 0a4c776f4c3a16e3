"""May this model teach? Cards, lineage and license facts in, a decision with its evidence out."""
