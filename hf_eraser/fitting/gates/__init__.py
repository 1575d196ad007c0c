"""Gates: solved from moments, judged on held-out examples, calibrated and chosen."""
