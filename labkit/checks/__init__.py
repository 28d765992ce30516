"""What the labs' check cells run: one file for each lab, whose `check()` prints verdicts and exact integers."""
