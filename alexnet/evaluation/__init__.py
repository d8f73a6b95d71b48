"""How good a network is: metrics, evaluation, report."""
