"""The two toy rows of the 2015 paper: what they share, and each of them. `thermo2015.py` runs both."""
