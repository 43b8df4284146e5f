"""How predictors answer: closed forms over their arrays, with the way back to the code. Needs numpy alone."""
